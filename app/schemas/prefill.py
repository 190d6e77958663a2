"""Define the answer about a measured prefill."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.latency.prefill import PrefillFit
from app.schemas.answer import Mirror, Rounded, mirrored
from app.schemas.profile import PercentilesMs


class PrefillPointAnswer(Mirror):
    tokens: int
    ms: Rounded


class PrefillLengthAnswer(Mirror):
    tokens: float = Field(description="Median of what the server counted.")
    ms: PercentilesMs = Field(description="Until the first token.")
    line_ms: Rounded = Field(description="What the line says.")
    off: Rounded = Field(description="line_ms per p50, less 1.")


class PrefillAnswer(BaseModel):
    """Give the fitted line, its errors, and all timed prompts."""

    url: str
    path: str
    model: str
    ms_per_token: float
    ms_per_token_interval: tuple[float, float] | None = Field(description="95 %; from 6 rounds on.")
    base_ms: float
    base_ms_interval: tuple[float, float] | None
    r2: float
    leave_one_out: Rounded = Field(
        description="Largest error at a length that was left out of the fit, as a share."
    )
    doubt: str | None = Field(description="Why not to rely on it.")
    cached_tokens: int = Field(description="Most that the server had in its cache, of one prompt.")
    settings: dict[str, str] = Field(description="Environment variables for the service.")
    lengths: list[PrefillLengthAnswer]
    rounds: list[list[PrefillPointAnswer]] = Field(description="Every timed prompt.")

    @classmethod
    def of(
        cls, fit: PrefillFit, *, url: str, path: str, model: str, cached_tokens: int
    ) -> PrefillAnswer:
        return mirrored(
            cls,
            fit,
            url=url,
            path=path,
            model=model,
            ms_per_token=fit.cost.ms_per_token,
            base_ms=fit.cost.base_ms,
            cached_tokens=cached_tokens,
            settings={
                "CROP_PLANNER_PREFILL_MS_PER_TOKEN": f"{fit.cost.ms_per_token:.4g}",
                "CROP_PLANNER_PREFILL_BASE_MS": f"{fit.cost.base_ms:.4g}",
            },
        )
