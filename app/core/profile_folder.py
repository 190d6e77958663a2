"""Finding a saved profile without knowing every condition it was measured under."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import InvalidProfile
from app.core.profile import Profile, Weights, load_profile, profile_prefix


def newest_profile(
    folder: Path,
    *,
    model: str,
    device: str,
    dtype: str,
    weights: Weights,
    overlap_margins: tuple[int, int],
) -> Profile | None:
    """The profile of these conditions that was measured last, however the network was run.

    Raises:
        InvalidProfile: there are files of that name, and none of them can be read.
    """
    usable: list[Profile] = []
    refused: InvalidProfile | None = None
    for file in sorted(folder.glob(profile_prefix(model, device, dtype, weights) + "*.json")):
        try:
            profile = load_profile(file)
        except InvalidProfile as error:
            refused = error
            continue
        if (profile.device, profile.overlap_margins) == (device, overlap_margins):
            usable.append(profile)
    if not usable and refused is not None:
        raise refused
    return max(usable, key=lambda profile: profile.measured_at, default=None)
