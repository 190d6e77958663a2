"""What measuring one thing leaves: its samples, their distribution, and how it was warmed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from app.core.statistics import median_absolute_deviation, median_interval, quantile

BEYOND = 5
"""Samples that must lie beyond a percentile above p95: of fewer, it is one or two outliers."""

P99_SAMPLES = 100 * BEYOND
"""Fewest samples that a p99 is given for."""


def samples_needed(percentile: float) -> int:
    """Fewest samples that a percentile is given for.

    p95 and below are given for any number, with that number beside them: between the few passes of
    a CPU they are interpolated. Above, ``BEYOND`` samples must lie beyond.

    Raises:
        ValueError: not from 0 to below 100. No number of samples shows a time's maximum.
    """
    if not 0 <= percentile < 100:
        raise ValueError(f"a percentile is from 0 to below 100, got {percentile}")
    if percentile <= 95:
        return 1
    return ceil(round(100 * BEYOND / (100 - percentile), 6))  # 100 - 99.9 is a little off 0.1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The distribution of a time in ms, over ``samples`` passes.

    ``p50_low`` and ``p50_high`` are the 95 % interval of the median (of fewer than 6 samples, their
    range); ``mad`` is the median absolute deviation; ``p99`` is None below ``P99_SAMPLES``.
    """

    p50: float
    p50_low: float
    p50_high: float
    p90: float
    p95: float
    p99: float | None
    mad: float
    min: float
    max: float
    samples: int

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Percentiles:
        """Percentiles by linear interpolation between the two nearest samples (numpy's default).

        Raises:
            ValueError: no samples.
        """
        ordered = sorted(samples_ms)
        if not ordered:
            raise ValueError("percentiles need at least one sample")
        low, high = median_interval(ordered)
        return cls(
            p50=quantile(ordered, 0.50),
            p50_low=low,
            p50_high=high,
            p90=quantile(ordered, 0.90),
            p95=quantile(ordered, 0.95),
            p99=quantile(ordered, 0.99) if len(ordered) >= P99_SAMPLES else None,
            mad=median_absolute_deviation(ordered),
            min=ordered[0],
            max=ordered[-1],
            samples=len(ordered),
        )

    @classmethod
    def of_any(cls, samples_ms: Sequence[float]) -> Percentiles | None:
        """The same, and None where nothing was measured."""
        return cls.of(samples_ms) if samples_ms else None


@dataclass(frozen=True, slots=True)
class Samples:
    """Every timed pass of one count in ms, in the order they were run.

    Each is timed directly; none is the difference of two passes.

    Attributes:
        vision: patches on the device → tokens on the device.
        vit: of the same passes, up to the boundary between ViT and connector.
        connector: of the same passes, from that boundary on.
        cpu: CPU time the process spent in the same passes, all threads; () if not known.
        transfer_vision: pixels in (pinned) host memory → tokens on the device, in passes of its
            own; () if not measured.
        full: decoded image → tokens on the device, in passes of its own; () if not measured.
    """

    vision: tuple[float, ...]
    vit: tuple[float, ...]
    connector: tuple[float, ...]
    cpu: tuple[float, ...] = ()
    transfer_vision: tuple[float, ...] = ()
    full: tuple[float, ...] = ()

    def then(self, later: Samples) -> Samples:
        """These, followed by later ones of the same count; CPU time only if it is known of all."""
        cpu_known = len(self.cpu) == len(self.vision) and len(later.cpu) == len(later.vision)
        return Samples(
            vision=self.vision + later.vision,
            vit=self.vit + later.vit,
            connector=self.connector + later.connector,
            cpu=self.cpu + later.cpu if cpu_known else (),
            transfer_vision=self.transfer_vision + later.transfer_vision,
            full=self.full + later.full,
        )


@dataclass(frozen=True, slots=True)
class Warmup:
    """Untimed calls before the timed ones, and whether their times had settled by then."""

    calls: int
    settled: bool
