"""What is known of a plan's vision-token latency, and why it is not more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.config import CropConfig
from app.core.plan import CropPlan
from app.core.profile import Profile
from app.core.timings import Percentiles

LatencySource = Literal["profile", "measured", "none"]


@dataclass(frozen=True, slots=True)
class VisionLatency:
    """ms from crops on the device to vision tokens ready, and its parts at the median."""

    vision_ms: Percentiles
    vit_ms: float
    connector_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """An answer about latency.

    ``reason`` says where it comes from and why it should be doubted, or why there is none.
    """

    source: LatencySource
    reason: str
    device: str | None = None
    dtype: str | None = None
    runtime: str | None = None
    weights: str | None = None
    vision: VisionLatency | None = None

    def per_token_us(self, patch_tokens: int) -> float | None:
        """Median latency per vision token (patch token), in µs."""
        return None if self.vision is None else self.vision.vision_ms.p50 * 1e3 / patch_tokens


def _other_conditions(profile: Profile, config: CropConfig) -> str | None:
    """Why a profile says nothing about plans of a configuration; None where it does."""
    if config.family.name != profile.model:
        return f"the profile is of {profile.model}, not {config.family.name}"
    if not config.is_native:
        return f"the profile is of {config.family.crop_size_px} px crops, not {config.crop_size_px}"
    if config.overlap_margins != profile.overlap_margins:
        return f"the profile was measured with overlap margins of {profile.overlap_margins} patches"
    return None


def latency_from_profile(profile: Profile | None, plan: CropPlan, missing: str) -> Latency:
    """The profile's entry for the plan's number of crops, never an interpolated one.

    Args:
        profile: the profile in use, if there is one.
        plan: whose latency.
        missing: the reason to give where there is no profile at all.
    """
    if profile is None:
        return Latency("none", missing)
    if other := _other_conditions(profile, plan.config):
        return Latency("none", other)
    entry = profile.entry(plan.total_crops)
    if entry is None:
        state = "was never measured" if profile.complete else "is not measured yet"
        return Latency("none", f"a total of {plan.total_crops} crops {state}")
    shape = f"{entry.rows}x{entry.cols}" if entry.rows else "the global crop alone"
    doubt = f"; in doubt: {profile.contended}" if profile.contended else ""
    return Latency(
        source="profile",
        reason=f"measured at {profile.measured_at} for {entry.total_crops} crops in all ({shape})"
        + doubt,
        device=profile.device,
        dtype=profile.dtype,
        runtime=profile.runtime,
        weights=profile.weights,
        vision=VisionLatency(entry.vision_ms, entry.vit_ms.p50, entry.connector_ms.p50),
    )
