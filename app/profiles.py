"""Save and load profiles: one file for each set of conditions."""

from pathlib import Path

from app.core.errors import InvalidProfile
from app.core.json import require
from app.core.latency.profile import Profile, Weights
from app.core.latency.profile_file import (
    profile_filename,
    profile_from_json,
    profile_to_json,
    readable_name,
)
from app.files import write_whole


def save_profile(profile: Profile, folder: Path) -> Path:
    """Write the profile into ``folder`` under its own name and return the path.

    Raises:
        InvalidProfile: the profile has no entries; an older file stays.
        OSError: the folder cannot be written.
    """
    require(bool(profile.entries), "entries", "a profile of nothing is not saved")
    path = folder / profile_filename(profile.key)
    write_whole(path, profile_to_json(profile))
    return path


def load_profile(path: Path) -> Profile:
    """Read a saved profile.

    Raises:
        InvalidProfile: the file is unreadable or no profile; the error names file and field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(f"cannot read {path.name}: {error}", file=path.name) from error
    try:
        return profile_from_json(text)
    except InvalidProfile as error:
        detail = f"{path.name}: {error.detail}"
        raise InvalidProfile(detail, file=path.name, **error.facts) from None


def newest_profile(
    folder: Path,
    *,
    model: str,
    device: str,
    dtype: str,
    weights: Weights,
    overlap_margins: tuple[int, int],
) -> Profile | None:
    """Find the last measured profile of these conditions, of any runtime.

    A profile of other overlap margins is second choice: margins change the tokens alone.

    Raises:
        InvalidProfile: there are files of that name, and none of them is readable.
    """
    usable: list[Profile] = []
    refused: InvalidProfile | None = None
    for file in sorted(folder.glob(readable_name(model, device, dtype) + "_*.json")):
        try:
            profile = load_profile(file)
        except InvalidProfile as error:
            refused = error
            continue
        if (profile.device, profile.weights) == (device, weights):
            usable.append(profile)
    if not usable and refused is not None:
        raise refused
    return max(
        usable, key=lambda p: (p.overlap_margins == overlap_margins, p.measured_at), default=None
    )
