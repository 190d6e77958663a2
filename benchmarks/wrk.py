"""Load by `wrk <https://github.com/wg/wrk>`_: an HTTP load generator in C, Debian's ``wrk``."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 2

_LUA = """
local paths, post, at_byte, changes = {paths}, {post}, {at_byte}, {changes}
wrk.method = post and "POST" or "GET"
for name, value in pairs({headers}) do wrk.headers[name] = value end
if post then
  local file = io.open(post, "rb")
  wrk.body = file:read("*a")
  file:close()
end
local built, at = {{}}, 0
function init()
  for number, path in ipairs(paths) do built[number] = wrk.format(nil, path) end
end
local function changed(change)
  local rest = wrk.body:sub(at_byte + #change + 1)
  return wrk.format(nil, paths[1], nil, wrk.body:sub(1, at_byte) .. change .. rest)
end
function request()
  at = at % (changes and #changes or #built) + 1
  return changes and changed(changes[at]) or built[at]
end
function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "seconds": %f, "p50_us": %f, "failed": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Requests:
    """Send these paths in turn, again and again; with ``body``, as POSTs.

    With ``changes`` to the first path alone, each body with other bytes from ``at_byte`` on.
    """

    paths: Sequence[str]
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    at_byte: int = 0
    changes: Sequence[bytes] = ()

    def __len__(self) -> int:
        """Count the requests before the first comes again."""
        return len(self.changes or self.paths)


@dataclass(frozen=True, slots=True)
class Answered:
    """Hold the result of a run; ``p50_us`` is the median time to an answer."""

    requests: int
    seconds: float
    p50_us: float


def is_installed() -> bool:
    """Return True if a wrk is on PATH."""
    return shutil.which("wrk") is not None


def load(url: str, requests: Requests, seconds: int) -> Answered:
    """Send ``requests`` to a server for some seconds, over ``CONNECTIONS`` connections.

    Raises:
        RuntimeError: an answer was an error, or there was none.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_script(requests, Path(folder)), encoding="utf-8")
        told = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        ).stdout
    found = json.loads(told.rpartition("RESULT ")[2])
    if found.pop("failed") or not found["requests"]:
        raise RuntimeError(f"{url}{requests.paths[0]} was not answered with success:\n{told}")
    return Answered(**found)


def _script(requests: Requests, folder: Path) -> str:
    post = "nil"
    if requests.body is not None:
        (folder / "body").write_bytes(requests.body)
        post = json.dumps(str(folder / "body"))
    paths = ", ".join(json.dumps(path) for path in requests.paths)
    headers = ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in requests.headers.items())
    changes = ", ".join(_lua_bytes(change) for change in requests.changes)
    return _LUA.format(
        paths=f"{{{paths}}}",
        post=post,
        headers=f"{{{headers}}}",
        at_byte=requests.at_byte,
        changes=f"{{{changes}}}" if changes else "nil",
    )


def _lua_bytes(value: bytes) -> str:
    return '"' + "".join(f"\\{byte:03}" for byte in value) + '"'
