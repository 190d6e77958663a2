"""Fair comparison on a noisy machine: variants in shuffled rounds, ratios round by round."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import __version__
from app.core.statistics import shuffled_rounds

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).parent / "results"))
"""``benchmarks/gpu.sh`` names a new folder, so that what is in it is new."""


class Budget:
    """The seconds that a benchmark may take, counted from when this is made."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._began = clock()

    @property
    def left_s(self) -> float:
        """Below 0 once it is exceeded."""
        return self.seconds - (self._clock() - self._began)

    def spent(self, share: float = 1.0) -> bool:
        """Tell whether this share of the budget is gone."""
        return self.left_s <= self.seconds * (1 - share)


def rounds(
    variants: Mapping[str, Callable[[], object]], count: int, seed: int = 0
) -> dict[str, list[float]]:
    """Seconds of every variant in each of ``count`` rounds, after one that is not counted.

    Every round runs each variant once, in an order of its own, so that drift is no trend.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number, order in enumerate(shuffled_rounds(list(variants), count + 1, seed)):
        for name in order:
            started = time.perf_counter()
            variants[name]()
            spent = time.perf_counter() - started
            if number:
                seconds[name].append(spent)
    return seconds


def ratio(seconds: Mapping[str, list[float]], slow: str, fast: str) -> tuple[float, float, float]:
    """Minimum, median and maximum over rounds of how many times as long ``slow`` took."""
    ratios = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
    return min(ratios), statistics.median(ratios), max(ratios)


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result with what it was measured under.

    A benchmark saves again and again. One that is killed while it does leaves its last result.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    conditions = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "crop_planner": __version__,
    }
    text = json.dumps({**conditions, **result}, indent=2) + "\n"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return path
