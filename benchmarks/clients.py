"""Load a server by HTTP clients, in this process or in several.

As a program (``python -m benchmarks.clients``) it is one process of several: it reads its work from
its input, says that it is ready, waits for a line, and writes what it got.
"""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx

from benchmarks.serving import Server

ANSWER_TIMEOUT_S = 600
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer of ``/encode``; ``seconds`` from sending the image to having its tokens."""

    seconds: float
    total_crops: int
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Load:
    """Hold the answers to some clients, and the seconds from first request to last answer.

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
    """Send one request as one client."""

    async def client() -> Answer:
        async with httpx.AsyncClient(base_url=server.url, timeout=ANSWER_TIMEOUT_S) as http:
            return await _ask(http, image)

    return asyncio.run(client())


def ask_together(
    server: Server, images: Sequence[bytes], clients: int, seconds: float, *, processes: int = 1
) -> Load:
    """Run a closed loop: each client sends its next image after its answer.

    None sends any more after ``seconds``, and all answers are waited for. So the filling of the
    queue at the start and its emptying at the end are in the figures, which are a little low.

    Args:
        processes: that the clients are spread over; all of them begin at once.
    """
    shares = [clients // processes + (number < clients % processes) for number in range(processes)]
    work = [
        Work(server.url, images, share, seconds, at) for at, share in enumerate(shares) if share
    ]
    cpu_before = server.cpu_s()
    got = [asyncio.run(work[0].run())] if len(work) == 1 else _in_processes(work)
    cpu_after = server.cpu_s()
    return Load(
        answers=[answer for one in got for answer in one.answers],
        seconds=max(one.ended_s for one in got) - min(one.began_s for one in got),
        cpu_s=None if cpu_before is None or cpu_after is None else cpu_after - cpu_before,
    )


@dataclass(frozen=True, slots=True)
class Got:
    """Hold the answers of one process, and its begin and end by ``time.monotonic``.

    On Linux that clock is the same in all processes.
    """

    began_s: float
    ended_s: float
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Work:
    """Describe the work of one process's clients; the first one begins with image ``first``."""

    url: str
    images: Sequence[bytes]
    clients: int
    seconds: float
    first: int

    async def run(self) -> Got:
        """Ask until the time is over, and wait for all answers."""
        numbers = count(self.first)
        limits = httpx.Limits(max_connections=self.clients)
        async with httpx.AsyncClient(
            base_url=self.url, timeout=ANSWER_TIMEOUT_S, limits=limits
        ) as http:
            began_s = time.monotonic()

            async def client() -> list[Answer]:
                answers = []
                while time.monotonic() - began_s < self.seconds:
                    image = self.images[next(numbers) % len(self.images)]
                    answers.append(await _ask(http, image))
                return answers

            each = await asyncio.gather(*(client() for _ in range(self.clients)))
            answers = [answer for answers in each for answer in answers]
            return Got(began_s, time.monotonic(), answers)


def _in_processes(work: Sequence[Work]) -> list[Got]:
    """Start clients without multiprocessing, because its processes would import torch."""
    command = [sys.executable, "-m", "benchmarks.clients"]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in work
    ]
    pipes = [(process.stdin, process.stdout) for process in processes]
    for one, (stdin, _) in zip(work, pipes, strict=True):
        assert stdin is not None
        pickle.dump(one, stdin)
        stdin.flush()
    for _, stdout in pipes:
        assert stdout is not None
        stdout.readline()  # it is ready
    for stdin, _ in pipes:
        assert stdin is not None
        stdin.write(b"begin\n")
        stdin.close()
    got: list[Got] = []
    for process, (_, stdout) in zip(processes, pipes, strict=True):
        assert stdout is not None
        got.append(pickle.load(stdout))
        stdout.close()
        process.wait()
    return got


def main() -> None:
    """Do the work of one process."""
    work: Work = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()
    pickle.dump(asyncio.run(work.run()), sys.stdout.buffer)


async def _ask(http: httpx.AsyncClient, image: bytes) -> Answer:
    began = time.perf_counter()
    answer = await http.post("/encode", content=image, headers={"Content-Type": "image/jpeg"})
    spent = time.perf_counter() - began
    answer.raise_for_status()
    return Answer(spent, int(answer.headers["X-Total-Crops"]), _stages(answer))


def _stages(answer: httpx.Response) -> dict[str, float]:
    """Read ``Server-Timing: decode;dur=1.9, …`` as ms by name."""
    entries = (entry.split(";") for entry in answer.headers["Server-Timing"].split(", "))
    return {name: float(duration.removeprefix("dur=")) for name, duration, *_ in entries}


if __name__ == "__main__":
    # As this module, so that what is pickled is what the other side knows.
    from benchmarks.clients import main as run

    run()
