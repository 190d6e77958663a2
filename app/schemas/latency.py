"""Define the answers about latency and the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from app.core.latency.latency import Basis, Distribution, Latency, LatencySource, VisionLatency
from app.core.latency.status import EncoderState, Preparation, ProfileState, WorkerState
from app.schemas.answer import THIS_DEVICE, Mirror, mirrored, rounded
from app.schemas.measurement import RunningMeasurement
from app.schemas.profile import ProfileInUseAnswer


@dataclass(slots=True)
class VisionMs:
    """Time the way from crops on the device to vision tokens, ms: ViT, pooling, projection."""

    p50: float
    p95: float
    samples: Annotated[
        int, Field(description="Timed passes; where interpolated, of the count with fewer.")
    ]

    @classmethod
    def of(cls, found: Distribution) -> VisionMs:
        return cls(rounded(found.p50), rounded(found.p95), found.samples)


@dataclass(slots=True)
class StagesMs:
    """Time each stage, ms; null for a stage that did not happen or has no time of its own.

    ``vit`` and ``connector`` are medians and the parts of ``vision_ms``; the others are beside it.
    ``transfer``, the copy over the bus to a GPU, is a part of ``preprocess``.
    """

    decode: float | None = None
    preprocess: float | None = None
    queue: float | None = None
    transfer: float | None = None
    vit: float | None = None
    connector: float | None = None

    @classmethod
    def of(
        cls, decode_ms: float | None, spent: Preparation | None, vision: VisionLatency | None
    ) -> StagesMs:
        before = (spent.preprocess_ms, spent.queue_ms, spent.transfer_ms) if spent else (None,) * 3
        passes = (vision.vit_ms, vision.connector_ms) if vision else (None,) * 2
        return cls(*(None if ms is None else rounded(ms) for ms in (decode_ms, *before, *passes)))


@dataclass(slots=True)
class LatencyAnswer:
    source: LatencySource
    reason: Annotated[str, Field(description="Where the figure comes from, or why there is none.")]
    basis: Annotated[
        Basis | None,
        Field(
            description="`measured`: just this many crops and tokens. `adjusted`: this many crops, "
            "and the connector's time for other tokens. `interpolated`: between two numbers of "
            "crops."
        ),
    ]
    this_device: Annotated[bool | None, Field(description=THIS_DEVICE)]
    drift: Annotated[
        float | None,
        Field(description="The factor by live measurements that the figures have in them, if any."),
    ]
    device: str | None
    dtype: str | None
    runtime: Annotated[str | None, Field(description="How the network is run, such as `eager`.")]
    weights: Annotated[
        str | None, Field(description="`random`: the latency is real, features would not be.")
    ]
    vision_ms: VisionMs | None
    per_token_us: Annotated[float | None, Field(description="Median per vision (patch) token.")]
    stages_ms: StagesMs

    @classmethod
    def of(
        cls,
        latency: Latency,
        patch_tokens: int,
        *,
        decode_ms: float | None = None,
        spent: Preparation | None = None,
    ) -> LatencyAnswer:
        per_token_us = latency.per_token_us(patch_tokens)
        return mirrored(
            cls,
            latency,
            vision_ms=VisionMs.of(latency.vision.vision_ms) if latency.vision else None,
            per_token_us=None if per_token_us is None else rounded(per_token_us),
            stages_ms=StagesMs.of(decode_ms, spent, latency.vision),
        )


class EncoderAnswer(Mirror):
    """Tell the states of the encoder, its worker and its profile."""

    state: EncoderState
    worker: WorkerState
    reason: str | None = Field(
        description="Why loading failed; of a ready encoder, why it computes in float32 after all."
    )
    profile: ProfileState
    profiled: int = Field(description="Counts of crops measured so far…")
    to_profile: int = Field(description="…of this many.")
    measurement: RunningMeasurement | None = Field(description="The measurement under way.")


class LatencyProfileAnswer(BaseModel):
    encoder: EncoderAnswer
    profile: ProfileInUseAnswer | None
