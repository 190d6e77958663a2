"""Define the rows of ``benchmarks/http.py``: servers, requests and comparisons."""

from __future__ import annotations

import bisect
import io
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.bare import BODY_FILE
from benchmarks.photos import SAMPLE
from benchmarks.serving import Server, running, serving
from benchmarks.wrk import Requests

JPEG = {"Content-Type": "image/jpeg"}
BOUNDARY = "b-0-u-n-d-a-r-y"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
SETTINGS = {"encoder": "false"}
MOST_PER_S = 2_500
"""A server answers fewer requests in a second."""

NOTHING, TWO, BYTES = "bare GET", "bare GET of two integers", "bare GET of the bytes of /lut"
SMALL, LARGE = "bare POST, 200 KB hashed", "bare POST, 4 MB hashed"
LARGE_FORM = "bare POST, 4 MB of a form hashed"
PLAN, LUT, LUT_304, HEALTH = "/plan, every size new", "/lut", "/lut, 304", "/healthz"
ANALYZE, ANALYZE_FORM = "/analyze, 200 KB, every size new", "/analyze, 200 KB as a form"
ANALYZE_LARGE, ANALYZE_LARGE_FORM = "/analyze, 4 MB", "/analyze, 4 MB as a form"

RATIOS = (
    (PLAN, TWO, 3.0),
    (ANALYZE, SMALL, 2.0),
    (LUT, BYTES, None),
    (LUT_304, NOTHING, None),
    (ANALYZE_FORM, ANALYZE, None),
    (ANALYZE_LARGE, LARGE, None),
    (ANALYZE_LARGE_FORM, LARGE_FORM, None),
    (HEALTH, NOTHING, None),
)
"""A row, its yardstick, and the most that their ratio is to be."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Hold the two servers; ``etag`` is of the service's /lut."""

    bare: Server
    service: Server
    etag: str


@dataclass(frozen=True, slots=True)
class Row:
    """Hold requests to one server; a function makes any number of requests, each of a new size."""

    server: Server
    requests: Requests | Callable[[int], Requests]

    @property
    def new(self) -> bool:
        """Tell whether every request differs from all others."""
        return callable(self.requests)

    def requests_for(self, seconds: int) -> Requests:
        """Return the requests for this time of load."""
        if callable(self.requests):
            return self.requests(MOST_PER_S * seconds)
        return self.requests


@contextmanager
def started(profile: Path) -> Iterator[Servers]:
    """Run both servers; the service predicts latencies by this profile."""
    settings = {**SETTINGS, "profile": profile}
    with tempfile.NamedTemporaryFile() as body, serving(settings, logged=False) as service:
        table = httpx.get(f"{service.url}/lut").raise_for_status()
        body.write(table.content)
        body.flush()
        command = ["-m", "uvicorn", "--factory", "benchmarks.bare:create_app"]
        command += ["--no-access-log", "--log-level", "warning"]
        variables = {BODY_FILE: body.name}
        with running(command, variables, "/nothing", start_s=60, logged=False) as bare:
            yield Servers(bare, service, table.headers["etag"])


def rows_of(servers: Servers) -> dict[str, Row]:
    """Return every row by its name."""
    bare, service = servers.bare, servers.service
    small, large = _jpeg(1280, 854, 200_000), _jpeg(4800, 3202, 4_000_000)
    had = {"If-None-Match": servers.etag}
    sizes = _new_sizes()
    return {
        NOTHING: Row(bare, Requests(["/nothing"])),
        TWO: Row(bare, Requests(["/two?width=640&height=480"])),
        BYTES: Row(bare, Requests(["/bytes"])),
        SMALL: Row(bare, Requests(["/hash"], small, JPEG)),
        LARGE: Row(bare, Requests(["/hash"], large, JPEG)),
        LARGE_FORM: Row(bare, Requests(["/form"], _form(large), FORM)),
        PLAN: Row(service, lambda count: _plans(sizes, count)),
        LUT: Row(service, Requests(["/lut"])),
        LUT_304: Row(service, Requests(["/lut"], headers=had)),
        ANALYZE: Row(service, lambda count: _resized(small, sizes, count)),
        ANALYZE_FORM: Row(service, Requests(["/analyze"], _form(small), FORM)),
        ANALYZE_LARGE: Row(service, Requests(["/analyze"], large, JPEG)),
        ANALYZE_LARGE_FORM: Row(service, Requests(["/analyze"], _form(large), FORM)),
        HEALTH: Row(service, Requests(["/healthz"])),
    }


def _plan(width: int, height: int) -> str:
    return f"/plan?width={width}&height={height}"


def _plans(sizes: Iterator[tuple[int, int]], count: int) -> Requests:
    return Requests([_plan(width, height) for width, height in itertools.islice(sizes, count)])


def _new_sizes(seed: int = 0) -> Iterator[tuple[int, int]]:
    """Yield sizes of photos and screens in random order, none twice."""
    sizes = list(itertools.product(range(501, 4001), range(301, 3001, 27)))
    random.Random(seed).shuffle(sizes)
    yield from sizes


def _resized(jpeg: bytes, sizes: Iterator[tuple[int, int]], count: int) -> Requests:
    """Give the JPEG another size in its header for each request; nothing decodes its pixels."""
    in_frame = jpeg.index(b"\xff\xc0\x00\x11\x08") + 5
    changes = [
        height.to_bytes(2, "big") + width.to_bytes(2, "big")
        for width, height in itertools.islice(sizes, count)
    ]
    return Requests(["/analyze"], jpeg, JPEG, at_byte=in_frame, changes=changes)


def _jpeg(width: int, height: int, byte_count: int) -> bytes:
    """Make the sample photo of this size, with grain, and of about this length by its quality."""
    with Image.open(SAMPLE) as sample:
        photo = sample.convert("RGB").resize((width, height))
    grain = Image.effect_noise((width, height), 40).convert("RGB")
    photo = Image.blend(photo, grain, 0.2)

    def encoded(quality: int) -> bytes:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    found = bisect.bisect_left(range(1, 95), byte_count, key=lambda quality: len(encoded(quality)))
    return encoded(found + 1)


def _form(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
