"""Choose the number of threads for the encoder on a CPU, by measuring.

Two cores of a machine may share one unit for products, so more threads are not always faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from app.cores import available_cores

CLEARLY = 1.05
"""Fewer threads must be faster than all cores by this factor, so that noise does not decide."""
ROUNDS = 10
PROBE_ROWS, PROBE_WIDTH = 577, 1024
"""The probe multiplies in a shape of the encoder: one crop into an MLP."""


def thread_candidates(cores: int) -> tuple[int, ...]:
    """List the numbers to try: all cores, and half of them."""
    return tuple(sorted({cores, max(1, cores // 2)}, reverse=True))


def fastest_threads(seconds: Mapping[int, Sequence[float]]) -> int:
    """Return the most threads, unless fewer are clearly faster at their best.

    The best probe counts: other work on the machine only makes a probe slower.
    """
    best = {threads: min(probes) for threads, probes in seconds.items()}
    most = max(best)
    fastest = min(best, key=lambda threads: best[threads])
    return fastest if best[most] > CLEARLY * best[fastest] else most


def use_fastest_threads(dtype: torch.dtype, threads: int | None = None) -> int:
    """Set torch's threads for this process to ``threads``, or to the fastest number here."""
    if threads is None:
        candidates = thread_candidates(available_cores())
        threads = fastest_threads(_probe(candidates, _product(dtype)))
    torch.set_num_threads(threads)
    return threads


def _probe(candidates: Sequence[int], work: Callable[[], object]) -> dict[int, list[float]]:
    """Time ``work`` with each number of threads, in rounds after a first uncounted round, in s."""
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
