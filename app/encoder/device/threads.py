"""How many threads the encoder should use on a CPU: measured, as cores are not always cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from app.cores import available_cores

CLEARLY = 1.05
"""Fewer threads than there are cores must be this much faster to be taken: noise is not."""
ROUNDS = 10
PROBE_ROWS, PROBE_WIDTH = 577, 1024
"""The probe is a product of the encoder's own shape: one crop into an MLP."""


def thread_candidates(cores: int) -> tuple[int, ...]:
    """All cores, and half of them: where two share one unit, the second can be in the way."""
    return tuple(sorted({cores, max(1, cores // 2)}, reverse=True))


def fastest_threads(seconds: Mapping[int, Sequence[float]]) -> int:
    """The most threads, unless fewer are clearly faster at their best.

    Their best, because other work on the machine only ever makes a probe slower.
    """
    best = {threads: min(probes) for threads, probes in seconds.items()}
    most = max(best)
    fastest = min(best, key=lambda threads: best[threads])
    return fastest if best[most] > CLEARLY * best[fastest] else most


def use_fastest_threads(dtype: torch.dtype, threads: int | None = None) -> int:
    """Set torch's threads for this process: to ``threads``, or to what runs fastest here."""
    if threads is None:
        candidates = thread_candidates(available_cores())
        threads = fastest_threads(_probe(candidates, _product(dtype)))
    torch.set_num_threads(threads)
    return threads


def _probe(candidates: Sequence[int], work: Callable[[], object]) -> dict[int, list[float]]:
    """Seconds of ``work`` with each number of threads, in rounds, after one that is not counted."""
    seconds: dict[int, list[float]] = {threads: [] for threads in candidates}
    for number in range(ROUNDS + 1):
        for threads, probes in seconds.items():
            torch.set_num_threads(threads)
            started = time.perf_counter()
            work()
            if number:
                probes.append(time.perf_counter() - started)
    return seconds


def _product(dtype: torch.dtype) -> Callable[[], object]:
    left = torch.randn(PROBE_ROWS, PROBE_WIDTH).to(dtype)
    right = torch.randn(PROBE_WIDTH, 4 * PROBE_WIDTH).to(dtype)
    return partial(torch.mm, left, right)
