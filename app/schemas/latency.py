"""Define the answers about latency and the encoder."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.latency.latency import Basis, Latency, LatencySource
from app.core.latency.status import EncoderState, Preparation, ProfileState, WorkerState
from app.schemas.answer import THIS_DEVICE, Mirror, Rounded, mirrored
from app.schemas.measurement import RunningMeasurement
from app.schemas.profile import ProfileInUseAnswer


class VisionMs(Mirror):
    """Time the way from crops on the device to vision tokens, ms: ViT, pooling, projection."""

    p50: Rounded
    p95: Rounded
    samples: int = Field(description="Timed passes; where interpolated, of the count with fewer.")


class StagesMs(BaseModel):
    """Time each stage, ms; null for a stage that did not happen or has no time of its own.

    ``vit`` and ``connector`` are medians and the parts of ``vision_ms``; the others are beside it.
    ``transfer``, the copy over the bus to a GPU, is a part of ``preprocess``.
    """

    decode: Rounded | None = None
    preprocess: Rounded | None = None
    queue: Rounded | None = None
    transfer: Rounded | None = None
    vit: Rounded | None = None
    connector: Rounded | None = None

    @classmethod
    def before_passes(cls, decode_ms: float | None, spent: Preparation | None = None) -> StagesMs:
        """Make the stages of an image that come before its passes."""
        if spent is None:
            return cls(decode=decode_ms)
        return cls(
            decode=decode_ms,
            preprocess=spent.preprocess_ms,
            queue=spent.queue_ms,
            transfer=spent.transfer_ms,
        )


class LatencyAnswer(BaseModel):
    source: LatencySource
    reason: str = Field(description="Where the figure comes from, or why there is none.")
    basis: Basis | None = Field(
        description="`measured`: just this many crops and tokens. `adjusted`: this many crops, and "
        "the connector's time for other tokens. `interpolated`: between two numbers of crops."
    )
    this_device: bool | None = Field(description=THIS_DEVICE)
    drift: float | None = Field(
        description="The factor by live measurements that the figures have in them, if any."
    )
    device: str | None
    dtype: str | None
    runtime: str | None = Field(description="How the network is run, such as `eager`.")
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
        return mirrored(
            cls,
            latency,
            vision_ms=vision.vision_ms if vision else None,
            per_token_us=latency.per_token_us(patch_tokens),
            stages_ms=stages,
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
