"""CPU time of a request, beside bare FastAPI endpoints started in the same run.

Each figure is the CPU time of the server's process (user and kernel, from /proc) over the requests
it answered while ``wrk`` loaded it, row by row in shuffled rounds. The service runs as it does by
default, its access log included; the bare servers have none. No encoder: latency comes from a saved
profile.

There are two bare servers, as what reading 200 KB costs depends on what was read before: once the C
library's allocator has freed a larger buffer, it no longer asks the kernel for the memory of each
body anew, and the same endpoint takes less than half. The service reads every kind of body.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import re
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import torch
from PIL import Image

from app.core.rounds import shuffled_rounds
from app.core.statistics import Comparison
from app.encoder.device import device_name
from benchmarks import wrk
from benchmarks.bare import BODY_FILE
from benchmarks.serving import Server, running, serving
from benchmarks.timing import save
from benchmarks.wrk import CONNECTIONS, Requests, load

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "docs" / "samples" / "rocket.jpg"
COCO = ROOT / "tests" / "vectors" / "coco_val2017_sizes.json"
JPEG = {"Content-Type": "image/jpeg"}
BOUNDARY = "b-0-u-n-d-a-r-y"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
SETTINGS = {"encoder": "false"}
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic")

SMALL, LARGE = "bare POST, 200 KB read", "bare POST, 4 MB read"
LARGE_FORM = "bare POST, 4 MB read as a form"
SMALL_AFTER_LARGE = "bare POST, 200 KB read, after 4 MB"
NOTHING, BYTES = "bare GET", "bare GET of the bytes of /lut"

RATIOS = (
    ("/plan, one size", NOTHING, 2.0),
    ("/plan, COCO's sizes in turn", NOTHING, 2.0),
    ("/plan, every size new", NOTHING, None),
    ("/lut", BYTES, 1.2),
    ("/lut, 304", NOTHING, None),
    ("/analyze, 200 KB", SMALL, 1.5),
    ("/analyze, 200 KB", SMALL_AFTER_LARGE, None),
    ("/analyze, 200 KB as a form", "/analyze, 200 KB", None),
    (LARGE_FORM, LARGE, None),
    ("/analyze, 4 MB", LARGE, None),
    ("/analyze, 4 MB as a form", "/analyze, 4 MB", None),
    ("/healthz", NOTHING, None),
)
"""Of what, over what, and the most it is to be."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two bare servers, of which one reads larger bodies too; ``etag`` is of the service's /lut."""

    bare: Server
    bare_large: Server
    service: Server
    etag: str


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured under one name. ``fresh``: nothing is asked twice, in no round."""

    server: Server
    requests: Requests
    fresh: Iterator[str] | None = None


def main(arguments: list[str] | None = None) -> None:
    """Print and save the figures."""
    options = _options(arguments)
    if not wrk.is_installed():
        print("HTTP: left out, as there is no wrk on PATH (Debian: apt-get install wrk)")
        return
    with _servers(options.profile) as servers:
        rows = _rows(servers)
        for row in rows.values():  # what is measured is a server that has been at work
            _measure(row, 1)
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
        for order in shuffled_rounds(list(rows), options.rounds):
            for name in order:
                figures[name].append(_measure(rows[name], options.seconds))
    _report(figures, options)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of load on each row in each round")
    parser.add_argument(
        "--profile",
        type=Path,
        default=next(iter(sorted((ROOT / "benchmarks" / "results").glob("profile_*.json")))),
        help="a saved profile, which latencies come from",
    )
    return parser.parse_args(arguments or [])


@contextmanager
def _servers(profile: Path) -> Iterator[Servers]:
    with (
        tempfile.NamedTemporaryFile() as body,
        serving({**SETTINGS, "profile": profile}, logged=False) as service,
    ):
        table = httpx.get(f"{service.url}/lut").raise_for_status()
        body.write(table.content)
        body.flush()
        with _bare(body.name) as bare, _bare(body.name) as bare_large:
            yield Servers(bare, bare_large, service, table.headers["etag"])


def _bare(body_file: str) -> AbstractContextManager[Server]:
    command = ["-m", "uvicorn", "--factory", "benchmarks.bare:create_app"]
    command += ["--no-access-log", "--log-level", "warning"]
    return running(command, {BODY_FILE: body_file}, "/nothing", start_s=60, logged=False)


def _rows(servers: Servers) -> dict[str, Row]:
    bare, bare_large, service = servers.bare, servers.bare_large, servers.service
    small, large = _jpeg(1280, 854, 200_000), _jpeg(4800, 3202, 4_000_000)
    sizes = json.loads(COCO.read_text(encoding="utf-8"))
    coco = [_plan(width, height) for height, width in sizes]
    had = {"If-None-Match": servers.etag}
    return {
        NOTHING: Row(bare, Requests(["/nothing"])),
        BYTES: Row(bare, Requests(["/bytes"])),
        SMALL: Row(bare, Requests(["/read"], small, JPEG)),
        LARGE: Row(bare_large, Requests(["/read"], large, JPEG)),
        LARGE_FORM: Row(bare_large, Requests(["/form"], _form(large), FORM)),
        SMALL_AFTER_LARGE: Row(bare_large, Requests(["/read"], small, JPEG)),
        "/plan, one size": Row(service, Requests([_plan(640, 480)])),
        "/plan, COCO's sizes in turn": Row(service, Requests(coco)),
        "/plan, every size new": Row(service, Requests([]), _new_sizes()),
        "/lut": Row(service, Requests(["/lut"])),
        "/lut, 304": Row(service, Requests(["/lut"], headers=had)),
        "/analyze, 200 KB": Row(service, Requests(["/analyze"], small, JPEG)),
        "/analyze, 200 KB as a form": Row(service, Requests(["/analyze"], _form(small), FORM)),
        "/analyze, 4 MB": Row(service, Requests(["/analyze"], large, JPEG)),
        "/analyze, 4 MB as a form": Row(service, Requests(["/analyze"], _form(large), FORM)),
        "/healthz": Row(service, Requests(["/healthz"])),
    }


def _plan(width: int, height: int) -> str:
    return f"/plan?width={width}&height={height}"


def _new_sizes() -> Iterator[str]:
    """Sizes of photos and screens, none twice."""
    for width, height in itertools.product(range(4000, 500, -1), range(3000, 300, -7)):
        yield _plan(width, height)


def _jpeg(width: int, height: int, byte_count: int) -> bytes:
    """The sample photo at this size, made this long by comments, of 64 KB at most each."""
    buffer = io.BytesIO()
    with Image.open(PHOTO) as photo:
        photo.resize((width, height)).save(buffer, "JPEG", quality=80)
    start, rest = buffer.getvalue()[:2], buffer.getvalue()[2:]
    missing = byte_count - len(start) - len(rest)
    comments = [min(60_000, missing - at) for at in range(0, missing, 60_000)]
    filled = (b"\xff\xfe" + (n + 2).to_bytes(2, "big") + bytes(n) for n in comments)
    return start + b"".join(filled) + rest


def _form(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def _measure(row: Row, seconds: int) -> dict[str, float]:
    requests = row.requests
    if row.fresh is not None:  # more than can be answered in the time, so that none comes twice
        requests = Requests(list(itertools.islice(row.fresh, 2_500 * seconds)))
    before = row.server.cpu_s()
    answered = load(row.server.url, requests, seconds)
    after = row.server.cpu_s()
    if before is None or after is None:
        raise SystemExit("this benchmark reads CPU time from Linux's /proc")
    return {
        "cpu_us": (after - before) / answered.requests * 1e6,
        "requests_per_s": answered.requests / answered.seconds,
        "p50_us": answered.p50_us,
    }


def _report(figures: Mapping[str, Sequence[dict[str, float]]], options: argparse.Namespace) -> None:
    print(f"HTTP, {CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s")
    cpu_us = {name: [one["cpu_us"] for one in rounds] for name, rounds in figures.items()}
    for name, values in cpu_us.items():
        rate = statistics.median(one["requests_per_s"] for one in figures[name])
        print(f"  {name:<32}{statistics.median(values):9.1f} µs of CPU{rate:9.0f} requests/s")
    ratios = []
    for name, over, most in RATIOS:
        found = Comparison.paired(cpu_us[name], cpu_us[over])
        asked = f"; at most {most:g} is asked for" if most else ""
        print(f"  {name} / {over}: {found.ratio:.2f} ({found.low:.2f} to {found.high:.2f}){asked}")
        ratios.append(
            {"of": name, "over": over, "ratio": found.ratio, "low": found.low, "high": found.high}
        )
    device = device_name(torch.device("cpu"))
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    result = {
        "device": device,
        "versions": {name: version(name) for name in PACKAGES},
        "connections": CONNECTIONS,
        "seconds": options.seconds,
        "profile": options.profile.name,
        "ratios": ratios,
        "rounds": figures,
    }
    path = save(f"http_{slug}_uvicorn-{version('uvicorn')}", result)
    print(f"  saved as benchmarks/results/{path.name}")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
