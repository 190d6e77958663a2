"""The real server as a process, and clients that load it over HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

ANSWER_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready for every call."""

    url: str
    process_id: int

    def cpu_s(self) -> float | None:
        """CPU time of all its threads so far; None where there is no Linux /proc."""
        stat = self._stat()
        return None if stat is None else (stat[13] + stat[14]) / os.sysconf("SC_CLK_TCK")

    def page_faults(self) -> int | None:
        """Pages of memory that the kernel has given it so far; None where there is no /proc."""
        stat = self._stat()
        return None if stat is None else stat[9]

    def _stat(self) -> list[int] | None:
        """The fields of proc(5)'s ``stat``, from 0; those before the fourth, no numbers, are 0."""
        stat = Path(f"/proc/{self.process_id}/stat")
        if not stat.exists():
            return None
        after_state = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1:]
        return [0, 0, 0, *map(int, after_state)]

    def wait_for_profile(self, timeout_s: float) -> dict[str, Any]:
        """The profile that is measured from the start, once it is done."""
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
    settings: Mapping[str, object], *, start_s: float = 300, logged: bool = True
) -> Iterator[Server]:
    """``crop-planner serve`` as a process of its own, on a free port.

    ``logged``: whether its log is shown; it is written all the same.
    """
    environment = {f"CROP_PLANNER_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory() as folder:
        variables = {"CROP_PLANNER_PROFILE_FOLDER": folder, **environment}
        command = ["-m", "app.cli", "serve"]
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
    """Python with these arguments and ``--port``, once ``ready_path`` answers with 200."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of ``/encode``; ``seconds`` from sending the image to having its tokens."""

    seconds: float
    total_crops: int
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Load:
    """What some clients got, and the seconds from the first request to the last answer.

    ``cpu_s`` is the server's CPU time in them, where it is known.
    """

    answers: Sequence[Answer]
    seconds: float
    cpu_s: float | None

    @property
    def total_crops(self) -> int:
        return sum(answer.total_crops for answer in self.answers)

    @property
    def images_per_s(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def crops_per_s(self) -> float:
        return self.total_crops / self.seconds

    @property
    def cpu_s_per_crop(self) -> float | None:
        return None if self.cpu_s is None else self.cpu_s / self.total_crops


def ask_alone(server: Server, image: bytes) -> Answer:
    """One client, one request."""

    async def client() -> Answer:
        async with httpx.AsyncClient(base_url=server.url, timeout=ANSWER_TIMEOUT_S) as http:
            return await _ask(http, image)

    return asyncio.run(client())


def ask_together(server: Server, images: Sequence[bytes], clients: int, seconds: float) -> Load:
    """A closed loop: each client sends its next image when it has its answer.

    None sends any more after ``seconds``, and all answers are waited for. So the filling of the
    queue at the start and its emptying at the end are in the figures, which are a little low.
    """

    async def run() -> Load:
        numbers = count()
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(
            base_url=server.url, timeout=ANSWER_TIMEOUT_S, limits=limits
        ) as http:
            cpu_before, began = server.cpu_s(), time.perf_counter()

            async def client() -> list[Answer]:
                answers = []
                while time.perf_counter() - began < seconds:
                    answers.append(await _ask(http, images[next(numbers) % len(images)]))
                return answers

            each = await asyncio.gather(*(client() for _ in range(clients)))
            spent, cpu_after = time.perf_counter() - began, server.cpu_s()
        cpu_s = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
        return Load([answer for answers in each for answer in answers], spent, cpu_s)

    return asyncio.run(run())


async def _ask(http: httpx.AsyncClient, image: bytes) -> Answer:
    began = time.perf_counter()
    answer = await http.post("/encode", content=image, headers={"Content-Type": "image/jpeg"})
    spent = time.perf_counter() - began
    answer.raise_for_status()
    return Answer(spent, int(answer.headers["X-Total-Crops"]), _stages(answer))


def _stages(answer: httpx.Response) -> dict[str, float]:
    """``Server-Timing: decode;dur=1.9, …`` as ms by name."""
    entries = (entry.split(";") for entry in answer.headers["Server-Timing"].split(", "))
    return {name: float(duration.removeprefix("dur=")) for name, duration, *_ in entries}
