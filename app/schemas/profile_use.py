"""The answers about the profile in use and its trust."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.core.latency.model import ErrorMethod
from app.core.latency.predictions import ProfileInUse
from app.schemas.answer import THIS_DEVICE, Mirror, Rounded
from app.schemas.profile import ProfileAnswer, ProfileSummary


class ErrorSpreadAnswer(Mirror):
    """Summarise the relative errors over the counts, without their signs."""

    median: float
    max: float


class ModelErrorAnswer(Mirror):
    """Compare predictions with measurements outside of their own data."""

    method: ErrorMethod = Field(
        description="`leave-one-count-out`: each count between others, predicted from them. "
        "`half-against-half`: half of a count's passes, predicted from the other half."
    )
    p50: ErrorSpreadAnswer
    p95: ErrorSpreadAnswer
    counts: int = Field(description="Counts that were predicted.")


class DriftAnswer(Mirror):
    """Compare live measurements (`latency=measure`) of the last minutes with the profile."""

    ratio: float | None = Field(description="Median of measured over predicted p50.")
    measurements: int
    factor: float | None = Field(
        description="By what predictions are multiplied; null: not corrected, too few measurements."
    )


class Trust(BaseModel):
    """Tell the trust in a profile at the moment of the answer."""

    model_config = ConfigDict(from_attributes=True)

    age_s: Rounded = Field(description="Since it was measured.")
    error: ModelErrorAnswer | None = Field(description="Of the profile's own predictions.")
    drift: DriftAnswer
    this_device: bool | None = Field(description=THIS_DEVICE)


class ProfileInUseAnswer(ProfileAnswer, Trust):
    """Give the whole profile in use."""

    @classmethod
    def of_use(cls, use: ProfileInUse) -> ProfileInUseAnswer:
        return cls(**dict(ProfileAnswer.of(use.profile)), **dict(Trust.model_validate(use)))


class ProfileInUseSummary(ProfileSummary, Trust):
    """Name the profile in use, with its age at the moment of the answer."""

    @classmethod
    def of_use(cls, use: ProfileInUse) -> ProfileInUseSummary:
        return cls(**dict(ProfileSummary.of(use.profile)), **dict(Trust.model_validate(use)))
