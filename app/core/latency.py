"""What is known of a plan's vision-token latency, and why it is not more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.plan import CropPlan
from app.core.profile import Percentiles, Profile

LatencySource = Literal["profile", "measured", "none"]


@dataclass(frozen=True, slots=True)
class VisionLatency:
    """ms from crops on the device to vision tokens ready, and its parts at the median."""

    vision_ms: Percentiles
    vit_ms: float
    connector_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """An answer about latency. ``reason`` says where it comes from, or why there is none."""

    source: LatencySource
    reason: str
    device: str | None = None
    dtype: str | None = None
    weights: str | None = None
    vision: VisionLatency | None = None

    def per_token_us(self, patch_tokens: int) -> float | None:
        """Median latency per vision token (patch token), in µs."""
        return None if self.vision is None else self.vision.vision_ms.p50 * 1e3 / patch_tokens


def why_not_profiled(profile: Profile, plan: CropPlan) -> str | None:
    """Why a profile says nothing about a plan; None where it does. Never interpolates."""
    config = plan.config
    if config.family.name != profile.model:
        return f"the profile is of {profile.model}, not {config.family.name}"
    if not config.is_native:
        return f"the profile is of {config.family.crop_size_px} px crops, not {config.crop_size_px}"
    if config.overlap_margins != profile.overlap_margins:
        return f"the profile was measured with overlap margins of {profile.overlap_margins} patches"
    if profile.entry(plan.total_crops) is None:
        state = "was never measured" if profile.complete else "is not measured yet"
        return f"a total of {plan.total_crops} crops {state}"
    return None


def latency_from_profile(profile: Profile | None, plan: CropPlan, missing: str) -> Latency:
    """The profile's entry for the plan's number of crops.

    Args:
        profile: the profile in use, if there is one.
        plan: whose latency.
        missing: the reason to give where there is no profile at all.
    """
    if profile is None:
        return Latency("none", missing)
    reason = why_not_profiled(profile, plan)
    entry = profile.entry(plan.total_crops)
    if reason is not None or entry is None:
        return Latency("none", reason or missing)
    shape = f"{entry.rows}x{entry.cols}" if entry.rows else "the global crop alone"
    return Latency(
        source="profile",
        reason=f"measured at {profile.measured_at} for {entry.total_crops} crops in all ({shape})",
        device=profile.device,
        dtype=profile.dtype,
        weights=profile.weights,
        vision=VisionLatency(entry.vision_ms, entry.vit_ms.p50, entry.connector_ms.p50),
    )
