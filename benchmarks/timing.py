"""Give every benchmark one frame: variants in shuffled rounds, a table, and a saved result.

A benchmark names its variants and passes them to :func:`run`. Benchmarks of servers and encoders
time by other means and share :class:`Budget` and :func:`save`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from app import __version__
from app.core.statistics import shuffled_rounds
from app.files import write_whole

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).parent / "results"))
"""``benchmarks/gpu.sh`` names a new folder and so finds only new results in it."""

Seconds = Mapping[str, Sequence[float]]
"""Every variant has its seconds in the order of the rounds."""

Unit = Literal["s", "ms", "µs"]
_IN_A_SECOND: dict[Unit, float] = {"s": 1, "ms": 1e3, "µs": 1e6}


class Budget:
    """Count down the seconds of a benchmark from the moment of construction."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._began = clock()

    @property
    def left_s(self) -> float:
        """Return the seconds left, below 0 after the end."""
        return self.seconds - (self._clock() - self._began)

    def spent(self, share: float = 1.0) -> bool:
        """Return True if this share of the budget is gone."""
        return self.left_s <= self.seconds * (1 - share)


def run(
    name: str,
    title: str,
    variants: Mapping[str, Callable[[], object]],
    *,
    count: int,
    unit: Unit = "ms",
    each: int = 1,
    ratios: Sequence[tuple[str, str]] = (),
    **facts: Any,
) -> Path:
    """Time all variants, print their medians and ratios, and save both.

    Args:
        name: the result's file name, without its suffix.
        variants: one call each, by the names in the table.
        count: rounds.
        unit: of the medians.
        each: pieces of work in one call; the medians are those of one piece.
        ratios: pairs of a slow and a fast variant.
        facts: further members of the result.
    """
    print(f"{title}, {count} rounds")
    seconds = rounds(variants, count)
    return finish(
        name,
        {
            **facts,
            "rounds": count,
            "unit": unit,
            "median": print_medians(seconds, unit, each),
            "ratios": print_ratios(seconds, ratios),
        },
    )


def rounds(
    variants: Mapping[str, Callable[[], object]], count: int, seed: int = 0
) -> dict[str, list[float]]:
    """Return the seconds of every variant in ``count`` rounds, after one uncounted round.

    A round calls each variant once. The rounds differ in order: drift of the machine then looks
    like no trend of a variant.
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


def print_medians(seconds: Seconds, unit: Unit = "ms", each: int = 1) -> dict[str, float]:
    """Print and return the median time of one piece of work of every variant."""
    medians = {
        name: statistics.median(times) / each * _IN_A_SECOND[unit]
        for name, times in seconds.items()
    }
    width = max(map(len, medians))
    for name, time_ in medians.items():
        print(f"  {name:<{width}} {time_:10.4g} {unit} (median)")
    return medians


def print_ratios(seconds: Seconds, pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Print and return the ratio of every pair over the rounds."""
    found = {}
    for slow, fast in pairs:
        ratios = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
        one = found[f"{slow} / {fast}"] = spread(ratios)
        print(f"  {slow} / {fast}: {one['median']:.2f} ({one['min']:.2f} to {one['max']:.2f})")
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result with the conditions of its measurement.

    A benchmark may save again and again. A killed benchmark leaves its last result.
    """
    path = RESULTS / f"{name}.json"
    conditions = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "crop_planner": __version__,
    }
    text = json.dumps({**conditions, **result}, indent=2, ensure_ascii=False)
    write_whole(path, text + "\n")
    return path


def finish(name: str, result: Mapping[str, Any]) -> Path:
    """Save a last result and print its place."""
    path = save(name, result)
    print(f"  saved as benchmarks/results/{path.name}")
    return path
