"""What ``benchmarks/http.py`` measures: the servers, the requests, and which are compared."""

from __future__ import annotations

import io
import itertools
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.bare import BODY_FILE
from benchmarks.photos import SAMPLE
from benchmarks.serving import Server, running, serving
from benchmarks.wrk import Requests

COCO = Path(__file__).parents[1] / "tests" / "vectors" / "coco_val2017_sizes.json"
JPEG = {"Content-Type": "image/jpeg"}
BOUNDARY = "b-0-u-n-d-a-r-y"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
SETTINGS = {"encoder": "false"}
MOST_PER_S = 2_500
"""More requests with a new size than can be answered in a second."""

NOTHING, BYTES = "bare GET", "bare GET of the bytes of /lut"
SMALL, LARGE = "bare POST, 200 KB read", "bare POST, 4 MB read"
SMALL_AFTER_LARGE = "bare POST, 200 KB read, after 4 MB"
LARGE_FORM = "bare POST, 4 MB read as a form"
PLAN, PLAN_COCO = "/plan, seen before", "/plan, COCO's sizes in turn, seen before"
PLAN_NEW = "/plan, every size new"
ANALYZE_ONLY_SMALL = "/analyze, 200 KB, seen before"
ANALYZE = "/analyze, 200 KB, seen before, after 4 MB"
ANALYZE_NEW = "/analyze, 200 KB, every size new, after 4 MB"
ANALYZE_FORM = "/analyze, 200 KB as a form, after 4 MB"
ANALYZE_LARGE, ANALYZE_LARGE_FORM = "/analyze, 4 MB", "/analyze, 4 MB as a form"

RATIOS = (
    (PLAN, NOTHING, 2.0),
    (PLAN_COCO, NOTHING, 2.0),
    (PLAN_NEW, NOTHING, None),
    ("/lut", BYTES, 1.2),
    ("/lut, 304", NOTHING, None),
    (ANALYZE_ONLY_SMALL, SMALL, 1.5),
    (ANALYZE, SMALL_AFTER_LARGE, 1.5),
    (ANALYZE_NEW, SMALL_AFTER_LARGE, None),
    (ANALYZE_FORM, ANALYZE, None),
    (LARGE_FORM, LARGE, None),
    (ANALYZE_LARGE, LARGE, None),
    (ANALYZE_LARGE_FORM, ANALYZE_LARGE, None),
    ("/healthz", NOTHING, None),
)
"""Of what, over what, and the most it is to be. "Seen before": both this size and this query."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two bare servers and two of the service; the ``small`` ones read no body above 200 KB.

    ``etag`` is of the service's /lut.
    """

    bare_small: Server
    bare: Server
    service_small: Server
    service: Server
    etag: str


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured under one name; ``requests`` may make so many that were never sent."""

    server: Server
    requests: Requests | Callable[[int], Requests]

    @property
    def new(self) -> bool:
        """Whether no request may be sent twice."""
        return callable(self.requests)

    def requests_for(self, seconds: int) -> Requests:
        """What to send for so long."""
        if callable(self.requests):
            return self.requests(MOST_PER_S * seconds)
        return self.requests


@contextmanager
def started(profile: Path) -> Iterator[Servers]:
    """All servers, while the context lasts; latencies come from this profile."""
    settings = {**SETTINGS, "profile": profile}
    with (
        tempfile.NamedTemporaryFile() as body,
        serving(settings, logged=False) as service_small,
        serving(settings, logged=False) as service,
    ):
        table = httpx.get(f"{service.url}/lut").raise_for_status()
        body.write(table.content)
        body.flush()
        with _bare(body.name) as bare_small, _bare(body.name) as bare:
            yield Servers(bare_small, bare, service_small, service, table.headers["etag"])


def _bare(body_file: str) -> AbstractContextManager[Server]:
    command = ["-m", "uvicorn", "--factory", "benchmarks.bare:create_app"]
    command += ["--no-access-log", "--log-level", "warning"]
    return running(command, {BODY_FILE: body_file}, "/nothing", start_s=60, logged=False)


def rows_of(servers: Servers) -> dict[str, Row]:
    """Every row, by its name."""
    bare, service = servers.bare, servers.service
    small, large = _jpeg(1280, 854, 200_000), _jpeg(4800, 3202, 4_000_000)
    coco = [_plan(width, height) for height, width in json.loads(COCO.read_text(encoding="utf-8"))]
    had = {"If-None-Match": servers.etag}
    sizes = _new_sizes()
    return {
        NOTHING: Row(servers.bare_small, Requests(["/nothing"])),
        BYTES: Row(servers.bare_small, Requests(["/bytes"])),
        SMALL: Row(servers.bare_small, Requests(["/read"], small, JPEG)),
        LARGE: Row(bare, Requests(["/read"], large, JPEG)),
        LARGE_FORM: Row(bare, Requests(["/form"], _form(large), FORM)),
        SMALL_AFTER_LARGE: Row(bare, Requests(["/read"], small, JPEG)),
        PLAN: Row(service, Requests([_plan(640, 480)])),
        PLAN_COCO: Row(service, Requests(coco)),
        PLAN_NEW: Row(service, lambda count: _plans(sizes, count)),
        "/lut": Row(service, Requests(["/lut"])),
        "/lut, 304": Row(service, Requests(["/lut"], headers=had)),
        ANALYZE_ONLY_SMALL: Row(servers.service_small, Requests(["/analyze"], small, JPEG)),
        ANALYZE: Row(service, Requests(["/analyze"], small, JPEG)),
        ANALYZE_NEW: Row(service, lambda count: _resized(small, sizes, count)),
        ANALYZE_FORM: Row(service, Requests(["/analyze"], _form(small), FORM)),
        ANALYZE_LARGE: Row(service, Requests(["/analyze"], large, JPEG)),
        ANALYZE_LARGE_FORM: Row(service, Requests(["/analyze"], _form(large), FORM)),
        "/healthz": Row(service, Requests(["/healthz"])),
    }


def _plan(width: int, height: int) -> str:
    return f"/plan?width={width}&height={height}"


def _plans(sizes: Iterator[tuple[int, int]], count: int) -> Requests:
    return Requests([_plan(width, height) for width, height in itertools.islice(sizes, count)])


def _new_sizes(seed: int = 0) -> Iterator[tuple[int, int]]:
    """Widths and heights of photos and screens, in no order, none twice."""
    sizes = list(itertools.product(range(501, 4001), range(301, 3001, 27)))
    random.Random(seed).shuffle(sizes)
    yield from sizes


def _resized(jpeg: bytes, sizes: Iterator[tuple[int, int]], count: int) -> Requests:
    """The JPEG with other sizes in its header, which is all of it that is looked at."""
    in_frame = jpeg.index(b"\xff\xc0\x00\x11\x08") + 5
    changes = [
        height.to_bytes(2, "big") + width.to_bytes(2, "big")
        for width, height in itertools.islice(sizes, count)
    ]
    return Requests(["/analyze"], jpeg, JPEG, at_byte=in_frame, changes=changes)


def _jpeg(width: int, height: int, byte_count: int) -> bytes:
    """The sample photo at this size, made this long by comments, of 64 KB at most each."""
    buffer = io.BytesIO()
    with Image.open(SAMPLE) as photo:
        photo.resize((width, height)).save(buffer, "JPEG", quality=80)
    start, rest = buffer.getvalue()[:2], buffer.getvalue()[2:]
    missing = byte_count - len(start) - len(rest)
    comments = [min(60_000, missing - at) for at in range(0, missing, 60_000)]
    filled = (b"\xff\xfe" + (n + 2).to_bytes(2, "big") + bytes(n) for n in comments)
    return start + b"".join(filled) + rest


def _form(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
