"""Define the answers about families and health, and problems."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.plan.config import make_config
from app.core.plan.families import Family
from app.core.plan.work import connector_flops, vit_flops
from app.schemas.answer import mirrored
from app.schemas.latency import EncoderAnswer
from app.schemas.plan import ConfigAnswer

HealthStatus = Literal["ok", "stalled", "dead"]
ReadyStatus = Literal["ready", "loading", "failed", "stalled", "dead", "draining"]


class FamilyAnswer(BaseModel):
    name: str
    generation: int
    default: bool
    encoder: bool = Field(description="Whether this service's encoder is of this family.")
    config: ConfigAnswer = Field(description="The family's own configuration.")
    resize_law: Literal["letterbox", "stretch"]
    vit_width: int
    vit_blocks: int = Field(description="Blocks that are run; later ones are stored, never read.")
    llm_width: int
    gflop_per_crop: float = Field(description="Needed work of the ViT for one crop.")
    gflop_per_token: float = Field(description="Needed work of the connector for one patch token.")

    @classmethod
    def of(cls, family: Family, *, default: bool, encoder: bool) -> FamilyAnswer:
        return mirrored(
            cls,
            family,
            default=default,
            encoder=encoder,
            config=mirrored(ConfigAnswer, make_config(family)),
            resize_law=family.preprocessing.resize_law,
            vit_width=family.vit.width,
            vit_blocks=family.vit.blocks_run,
            llm_width=family.connector.llm_width,
            gflop_per_crop=vit_flops(family, 1) / 1e9,
            gflop_per_token=connector_flops(family, 1) / 1e9,
        )


class ModelsAnswer(BaseModel):
    models: list[FamilyAnswer]


class HealthAnswer(BaseModel):
    status: HealthStatus
    reason: str | None = Field(None, description="Why the encoder's worker is dead.")
    version: str


class ReadyAnswer(BaseModel):
    ready: bool
    status: ReadyStatus
    encoder: EncoderAnswer
    waiting: int = Field(description="Images that wait to be encoded.")


class Problem(BaseModel):
    """Describe a problem by RFC 9457, `application/problem+json`; each type adds members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable identifier, see docs/reference/errors.md.")
    title: str
    status: int
    detail: str
