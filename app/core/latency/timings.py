"""Hold the samples of one timed piece of work, their percentiles, and its warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from app.core.statistics import median_absolute_deviation, median_interval, quantile

BEYOND = 5
"""A percentile above p95 needs this number of samples beyond; fewer are one or two outliers."""

P99_SAMPLES = 100 * BEYOND
"""A p99 needs this number of samples."""


def samples_needed(percentile: float) -> int:
    """Count the samples needed for a percentile.

    One sample is enough up to p95; these percentiles are interpolated between the few passes of a
    CPU. A higher percentile needs ``BEYOND`` samples beyond it.

    Raises:
        ValueError: the percentile is below 0, or 100 or more. No number of samples shows a maximum.
    """
    if not 0 <= percentile < 100:
        raise ValueError(f"a percentile is from 0 to below 100, got {percentile}")
    if percentile <= 95:
        return 1
    return ceil(round(100 * BEYOND / (100 - percentile), 6))  # 100 - 99.9 is a little off 0.1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Describe a time in ms by its percentiles over ``samples`` passes.

    ``p50_low`` and ``p50_high`` are the 95 % interval of the median, or the range of fewer than 6
    samples. ``mad`` is the median absolute deviation. ``p99`` is None below ``P99_SAMPLES``.
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
        """Compute percentiles by linear interpolation between the two nearest samples.

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
        """Compute percentiles, or return None without samples."""
        return cls.of(samples_ms) if samples_ms else None


@dataclass(frozen=True, slots=True)
class Samples:
    """Hold the times of all passes of one count in ms, in the order of the passes.

    Every time is measured directly; none is the difference of two passes.

    Attributes:
        vision: patches on the device → tokens on the device.
        vit: the same passes, up to the boundary between ViT and connector.
        connector: the same passes, after this boundary.
        cpu: CPU time of the process in the same passes, all threads; () if unknown.
        transfer_vision: pixels in (pinned) host memory → tokens on the device, in other passes; ()
            if not measured.
        full: decoded image → tokens on the device, in other passes; () if not measured.
    """

    vision: tuple[float, ...]
    vit: tuple[float, ...]
    connector: tuple[float, ...]
    cpu: tuple[float, ...] = ()
    transfer_vision: tuple[float, ...] = ()
    full: tuple[float, ...] = ()

    def then(self, later: Samples) -> Samples:
        """Append later samples of the same count; CPU times stay only if known for all passes."""
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
    """Count the untimed calls before the timed ones; ``settled`` tells if their times settled."""

    calls: int
    settled: bool
