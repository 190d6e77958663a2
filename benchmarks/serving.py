"""Run the real server as a process; its clients are :mod:`benchmarks.clients`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Server:
    """Describe a server that is ready for every call."""

    url: str
    process_id: int

    def cpu_s(self) -> float | None:
        """CPU time of all its threads so far; None where there is no Linux /proc."""
        stat = self._stat()
        return None if stat is None else (stat[13] + stat[14]) / os.sysconf("SC_CLK_TCK")

    def page_faults(self) -> int | None:
        """Count the pages of memory that the kernel has given so far; None without /proc."""
        stat = self._stat()
        return None if stat is None else stat[9]

    def _stat(self) -> list[int] | None:
        """Read the fields of proc(5)'s ``stat`` from 0. The first three are no numbers, but 0."""
        stat = Path(f"/proc/{self.process_id}/stat")
        if not stat.exists():
            return None
        after_state = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1:]
        return [0, 0, 0, *map(int, after_state)]

    def wait_for_profile(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the profile of the start, and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            told = httpx.get(f"{self.url}/latency").json()
            if told["encoder"]["profile"] in ("complete", "partial"):
                profile: dict[str, Any] = told["profile"]
                return profile
            time.sleep(5)  # as asking takes time from what is measured
        raise TimeoutError(f"the profile was not measured in {timeout_s:g} s")


@contextmanager
def serving(
    settings: Mapping[str, object],
    *,
    module: str = "app.cli",
    start_s: float = 300,
    logged: bool = True,
) -> Iterator[Server]:
    """Run ``crop-planner serve`` as a process of its own, on a free port.

    Args:
        module: the command line.
        logged: whether its log is shown; it is written all the same.
    """
    environment = {f"CROP_PLANNER_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory() as folder:
        variables = {"CROP_PLANNER_PROFILE_FOLDER": folder, **environment}
        command = ["-m", module, "serve"]
        with running(command, variables, "/readyz", start_s=start_s, logged=logged) as server:
            yield server


@contextmanager
def running(
    command: Sequence[str],
    variables: Mapping[str, str],
    ready_path: str,
    *,
    start_s: float,
    logged: bool,
) -> Iterator[Server]:
    """Start Python with these arguments and ``--port``; wait until ``ready_path`` answers 200."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = None if logged else subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        env={**os.environ, **variables},
        stdout=output,
        stderr=output,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url + ready_path, process, start_s)
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"the server was not ready in {start_s:g} s")
