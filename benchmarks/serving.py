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

import httpx

ANSWER_TIMEOUT_S = 600


@contextmanager
def serving(settings: Mapping[str, object], *, start_s: float = 300) -> Iterator[str]:
    """``crop-planner serve`` on a free port, ready for every call; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {f"CROP_PLANNER_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            env={**os.environ, "CROP_PLANNER_PROFILE_FOLDER": folder, **environment},
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, start_s)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
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
    """What some clients got, and the seconds from the first request to the last answer."""

    answers: Sequence[Answer]
    seconds: float

    @property
    def images_per_s(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def crops_per_s(self) -> float:
        return sum(answer.total_crops for answer in self.answers) / self.seconds


def ask_alone(url: str, image: bytes, times: int) -> list[Answer]:
    """One client, one request after the other."""

    async def client() -> list[Answer]:
        async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S) as http:
            return [await _ask(http, image) for _ in range(times)]

    return asyncio.run(client())


def ask_together(url: str, images: Sequence[bytes], clients: int, seconds: float) -> Load:
    """A closed loop: each client sends its next image when it has its answer.

    None sends any more after ``seconds``, and all answers are waited for. So the filling of the
    queue at the start and its emptying at the end are in the figures, which are a little low.
    """

    async def run() -> Load:
        numbers = count()
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S, limits=limits) as http:
            began = time.perf_counter()

            async def client() -> list[Answer]:
                answers = []
                while time.perf_counter() - began < seconds:
                    answers.append(await _ask(http, images[next(numbers) % len(images)]))
                return answers

            each = await asyncio.gather(*(client() for _ in range(clients)))
            spent = time.perf_counter() - began
        return Load([answer for answers in each for answer in answers], spent)

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
