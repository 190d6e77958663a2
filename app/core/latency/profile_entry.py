"""What was measured of one number of crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.latency.timings import Percentiles, Samples, Warmup
from app.core.plan.work import floor_ms, gflop_per_s

State = Literal["cold", "idle"]


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """Latency of one number of crops, warm.

    ``total_crops`` counts the global crop; the entry of 1 is the global crop alone and has
    ``rows = cols = 0``. ``vision_ms`` is the figure, from patches on the device to tokens on the
    device; ``vit_ms`` and ``connector_ms`` are its two parts, of the same passes. The percentiles
    follow from ``samples_ms``, which says what each of them times. ``flops`` is the needed work of
    :mod:`app.core.plan.work`, ``gflop_per_s`` is it over the p50 of ``vision_ms``.
    ``peak_memory_bytes`` is the most that was in use on the device during a pass.
    """

    total_crops: int
    rows: int
    cols: int
    patch_tokens: int
    vision_ms: Percentiles
    vit_ms: Percentiles
    connector_ms: Percentiles
    transfer_vision_ms: Percentiles | None
    full_ms: Percentiles | None
    cpu_ms: Percentiles | None
    flops: int
    gflop_per_s: float
    peak_memory_bytes: int | None
    warmup: Warmup
    samples_ms: Samples

    @classmethod
    def of(
        cls,
        samples_ms: Samples,
        *,
        rows: int,
        cols: int,
        patch_tokens: int,
        flops: int,
        warmup: Warmup,
        peak_memory_bytes: int | None = None,
    ) -> ProfileEntry:
        """The entry of these samples: whatever can be computed from them is.

        Raises:
            ValueError: no samples of vision, ViT or connector.
        """
        vision = Percentiles.of(samples_ms.vision)
        return cls(
            total_crops=rows * cols + 1,
            rows=rows,
            cols=cols,
            patch_tokens=patch_tokens,
            vision_ms=vision,
            vit_ms=Percentiles.of(samples_ms.vit),
            connector_ms=Percentiles.of(samples_ms.connector),
            transfer_vision_ms=Percentiles.of_any(samples_ms.transfer_vision),
            full_ms=Percentiles.of_any(samples_ms.full),
            cpu_ms=Percentiles.of_any(samples_ms.cpu),
            flops=flops,
            gflop_per_s=gflop_per_s(flops, vision.p50),
            peak_memory_bytes=peak_memory_bytes,
            warmup=warmup,
            samples_ms=samples_ms,
        )

    def floor_ms(self, matmul_gflop_per_s: float | None) -> float | None:
        """Ms that the needed work takes at the rate of a large product; None without a rate."""
        return floor_ms(self.flops, matmul_gflop_per_s) if matmul_gflop_per_s else None

    def fraction_of_floor(self, matmul_gflop_per_s: float | None) -> float | None:
        """The floor over the p50, which also is the share of the product's rate that is reached.

        Above 1 the rate was measured wrongly: nothing is faster than the arithmetic it needs.
        """
        floor = self.floor_ms(matmul_gflop_per_s)
        return None if floor is None else floor / self.vision_ms.p50


@dataclass(frozen=True, slots=True)
class StateEntry:
    """Latency of a state other than warm, of one number of crops.

    Attributes:
        state: ``cold``: the first call of a fresh process, compiling and capturing included.
            ``idle``: warm, after silence.
        silence_s: how long nothing ran before each sample; None for ``cold``.
        load_s: what loading the encoder took before a cold call, not part of it; None if not known.
    """

    state: State
    silence_s: float | None
    load_s: float | None
    total_crops: int
    vision_ms: Percentiles
    samples_ms: tuple[float, ...]

    @classmethod
    def of(
        cls,
        state: State,
        samples_ms: tuple[float, ...],
        *,
        total_crops: int,
        silence_s: float | None = None,
        load_s: float | None = None,
    ) -> StateEntry:
        """The entry of these samples. Raises ValueError where there are none."""
        times = Percentiles.of(samples_ms)
        return cls(state, silence_s, load_s, total_crops, times, samples_ms)
