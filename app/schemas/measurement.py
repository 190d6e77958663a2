"""Define the request for a measurement, and the answers about it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.latency.status import Failure, MeasurementState, MeasurementStatus
from app.core.plan.config import MAX_CROPS_LIMIT
from app.schemas.answer import Mirror, Rounded, mirrored, problem_type
from app.schemas.profile import ProfileAnswer

MOST_CROPS = MAX_CROPS_LIMIT + 1
MOST_REPEATS = 500
"""This many give a p99; more would only hold the device up."""


class MeasurementBody(BaseModel):
    """Ask for a measurement; the defaults are those of the profile at the start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    counts: list[Annotated[int, Field(ge=1, le=MOST_CROPS)]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_CROPS,
        description="Total crops, the global one included.",
    )
    repeats: int | None = Field(
        None, ge=1, le=MOST_REPEATS, description="Most timed passes of each count."
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None, description="What the network computes in; by default what the loaded one does."
    )
    full: bool = Field(False, description="Time passes from the decoded image, too.")


class MeasurementRequestAnswer(Mirror):
    counts: list[int]
    repeats: int | None = Field(description="null: as many as suit the device, see the profile.")
    dtype: str
    full: bool


class MeasurementFailure(BaseModel):
    """Tell the problem of the measurement; the request itself succeeded."""

    type: str = Field(description="Stable identifier, see docs/reference/errors.md.")
    detail: str

    @classmethod
    def of(cls, failure: Failure) -> MeasurementFailure:
        return cls(type=problem_type(failure.slug), detail=failure.detail)


class RunningMeasurement(Mirror):
    """Summarise the running measurement; `/latency/measure/{id}` tells more."""

    id: str
    progress: Rounded = Field(description="From 0 to 1.")
    phase: str | None = Field(description="`warm-up` or `rounds`; null before the first pass.")
    total_crops: int | None = Field(description="The count that was run last.")


class MeasurementAnswer(RunningMeasurement):
    status: MeasurementStatus
    last_ms: Rounded | None = Field(description="The last timed pass.")
    started_at: str
    ended_at: str | None
    request: MeasurementRequestAnswer
    error: MeasurementFailure | None
    profile: ProfileAnswer | None = Field(description="What was measured so far.")

    @classmethod
    def of_state(cls, state: MeasurementState) -> MeasurementAnswer:
        return mirrored(
            cls,
            state,
            error=MeasurementFailure.of(state.failure) if state.failure else None,
            profile=ProfileAnswer.of(state.profile) if state.profile else None,
        )
