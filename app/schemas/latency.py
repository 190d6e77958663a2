"""Latencies and profiles as answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from app.core.latency import Latency, LatencySource
from app.core.profile import Profile
from app.schemas.answer import Mirror

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 3))]
"""To the µs (or ns): more digits than that are noise, and JSON would show seventeen."""


class VisionMs(Mirror):
    """From crops on the device to vision tokens ready (ViT, pooling, projection), ms."""

    p50: Rounded
    p95: Rounded
    samples: int


class StagesMs(BaseModel):
    """Time per stage, ms; null where the stage did not happen or is not known by itself.

    ``vit`` and ``connector`` are medians and the parts of ``vision_ms``; the others are beside it.
    """

    decode: Rounded | None = None
    preprocess: Rounded | None = None
    queue: Rounded | None = None
    transfer: Rounded | None = None
    vit: Rounded | None = None
    connector: Rounded | None = None


class LatencyAnswer(BaseModel):
    source: LatencySource
    reason: str = Field(description="Where the figure comes from, or why there is none.")
    device: str | None
    dtype: str | None
    weights: str | None = Field(description="`random`: the latency is real, features would not be.")
    vision_ms: VisionMs | None
    per_token_us: Rounded | None = Field(description="Median per vision (patch) token.")
    stages_ms: StagesMs

    @classmethod
    def of(
        cls, latency: Latency, patch_tokens: int, stages_ms: StagesMs | None = None
    ) -> LatencyAnswer:
        stages = stages_ms or StagesMs()
        vision = latency.vision
        if vision is not None:
            parts = {"vit": vision.vit_ms, "connector": vision.connector_ms}
            stages = StagesMs(**{**stages.model_dump(), **parts})
        return cls(
            source=latency.source,
            reason=latency.reason,
            device=latency.device,
            dtype=latency.dtype,
            weights=latency.weights,
            vision_ms=VisionMs.of(vision.vision_ms) if vision else None,
            per_token_us=latency.per_token_us(patch_tokens),
            stages_ms=stages,
        )


class PercentilesMs(Mirror):
    p50: Rounded
    p90: Rounded
    p95: Rounded
    p99: Rounded
    min: Rounded
    max: Rounded
    samples: int


class ProfileEntryAnswer(BaseModel):
    total_crops: int = Field(description="Crops the encoder ran, the global one included.")
    crops: int = Field(description="Grid crops: one less.")
    rows: int
    cols: int
    patch_tokens: int
    vision_ms: PercentilesMs
    vit_ms: PercentilesMs
    connector_ms: PercentilesMs
    gflop: float = Field(description="Needed work of one pass.")
    gflop_per_s: float
    matmul_fraction: float | None = Field(description="gflop_per_s per matmul_gflop_per_s.")


class ProfileAnswer(BaseModel):
    """Measured latency per number of crops, and under what it was measured."""

    model: str
    device: str
    device_type: str
    dtype: str
    weights: str
    overlap_margins: tuple[int, int]
    threads: int
    versions: dict[str, str]
    measured_at: str
    warmup: int
    matmul_gflop_per_s: float | None
    complete: bool
    entries: list[ProfileEntryAnswer]

    @classmethod
    def of(cls, profile: Profile) -> ProfileAnswer:
        rate = profile.matmul_gflop_per_s
        return cls(
            **{name: getattr(profile, name) for name in cls.model_fields if name != "entries"},
            entries=[
                ProfileEntryAnswer(
                    total_crops=entry.total_crops,
                    crops=entry.total_crops - 1,
                    rows=entry.rows,
                    cols=entry.cols,
                    patch_tokens=entry.patch_tokens,
                    vision_ms=PercentilesMs.of(entry.vision_ms),
                    vit_ms=PercentilesMs.of(entry.vit_ms),
                    connector_ms=PercentilesMs.of(entry.connector_ms),
                    gflop=entry.flops / 1e9,
                    gflop_per_s=entry.gflop_per_s,
                    matmul_fraction=entry.gflop_per_s / rate if rate else None,
                )
                for entry in profile.entries
            ],
        )


class ProfileSummary(Mirror):
    """Which profile a table's latencies are from."""

    model: str
    device: str
    dtype: str
    weights: str
    measured_at: str
    complete: bool


class EncoderAnswer(Mirror):
    """The encoder's state: `off`, `loading`, `ready` or `failed`; the worker's; the profile's."""

    state: str
    worker: str = Field(description="running, stalled, dead or stopped")
    reason: str | None
    profile: str = Field(description="off, waiting, measuring, complete, partial or failed")
    profiled: int = Field(description="Counts of crops measured so far…")
    to_profile: int = Field(description="…of this many.")


class LatencyProfileAnswer(BaseModel):
    encoder: EncoderAnswer
    profile: ProfileAnswer | None
