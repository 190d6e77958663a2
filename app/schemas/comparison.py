"""Define the answer to a comparison of two profiles."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.latency.comparison import ComparedCount, ProfileComparison
from app.schemas.answer import Mirror, Rounded, mirrored
from app.schemas.profile import PercentilesMs, ProfileSummary


class ComparedSide(Mirror):
    """Give the figures of one profile for a count."""

    vision_ms: PercentilesMs
    cpu_ms: PercentilesMs | None
    gflop_per_s: float


class ComparedCountAnswer(BaseModel):
    total_crops: int
    a: ComparedSide
    b: ComparedSide
    ratio: Rounded = Field(description="p50 of A per p50 of B.")
    low: Rounded = Field(description="Its 95 % interval, by bootstrap…")
    high: Rounded
    samples: int = Field(description="Of the profile that has fewer.")
    differs: bool = Field(description="The interval excludes 1, and rests on 6 samples or more.")
    verdict: str
    same_work: bool = Field(description="Whether both needed the same arithmetic.")

    @classmethod
    def of(cls, count: ComparedCount) -> ComparedCountAnswer:
        found = count.comparison
        return mirrored(
            cls,
            found,
            total_crops=count.total_crops,
            a=count.a,
            b=count.b,
            verdict=found.verdict(),
            same_work=count.same_work,
        )


class DifferenceAnswer(Mirror):
    name: str
    a: str | None
    b: str | None


class ProfileComparisonAnswer(BaseModel):
    """Compare profile A with profile B, count by count."""

    a: ProfileSummary
    b: ProfileSummary
    differences: list[DifferenceAnswer] = Field(description="Conditions that are not the same.")
    counts: list[ComparedCountAnswer]

    @classmethod
    def of(cls, comparison: ProfileComparison) -> ProfileComparisonAnswer:
        counts = [ComparedCountAnswer.of(count) for count in comparison.counts]
        return mirrored(cls, comparison, counts=counts)
