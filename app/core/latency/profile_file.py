"""Profiles as files: JSON that is checked when it is read, under names that say what was measured.

docs/reference/profile.schema.json is their JSON Schema. Reading checks the laws between fields.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path

from app.core.errors import InvalidProfile
from app.core.json import read_json, require
from app.core.json_text import json_text
from app.core.latency.profile import SCHEMA_VERSION, Profile, ProfileKey, Weights
from app.core.latency.profile_laws import check_laws


def profile_to_json(profile: Profile) -> str:
    """The profile as a JSON object with the names of the fields; lists of numbers in one line."""
    return json_text(asdict(profile))


def profile_from_json(text: str) -> Profile:
    """The inverse of :func:`profile_to_json`.

    Raises:
        InvalidProfile: naming the field that is missing or wrong.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidProfile(f"a profile is JSON: {error}", field="") from error
    require(isinstance(data, dict), "", "a profile is a JSON object")
    require("schema_version" in data, "schema_version", "missing, so this is no profile")
    version = data["schema_version"]
    require(
        version == SCHEMA_VERSION,
        "schema_version",
        f"{version!r} is not {SCHEMA_VERSION}, which this version of crop-planner reads; "
        "its figures cannot be converted, so measure again with `crop-planner measure`",
    )
    profile: Profile = read_json(Profile, data)
    check_laws(profile)
    return profile


def profile_filename(key: ProfileKey) -> str:
    """A file name that says what was measured, with a digest that no two keys share."""
    readable = _readable(key.model, key.device, key.dtype, key.runtime, key.weights)
    digest = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()[:10]
    return f"{readable}_{digest}.json"


def _readable(*told: str) -> str:
    parts = (re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.") for part in told)
    return "_".join(parts)[:120]


def save_profile(profile: Profile, folder: Path) -> Path:
    """Write the profile into ``folder`` under its own name; readers see the old file or the new.

    Raises:
        InvalidProfile: it has no entries, so whatever the file holds is better.
        OSError: the folder cannot be written.
    """
    require(bool(profile.entries), "entries", "a profile of nothing is not saved")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / profile_filename(profile.key)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".profile-", suffix=".tmp")
    try:
        os.fchmod(handle, 0o644)  # a profile is no secret, and another user's service reads it
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(profile_to_json(profile))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def load_profile(path: Path) -> Profile:
    """Read a saved profile.

    Raises:
        InvalidProfile: the file cannot be read, or is no profile; file and field are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(f"cannot read {path.name}: {error}", file=path.name) from error
    try:
        return profile_from_json(text)
    except InvalidProfile as error:
        told = f"{path.name}: {error.detail}"
        raise InvalidProfile(told, file=path.name, **error.facts) from None


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

    One of other overlap margins only if there is none of these: they change nothing but the tokens.

    Raises:
        InvalidProfile: there are files of that name, and none of them can be read.
    """
    usable: list[Profile] = []
    refused: InvalidProfile | None = None
    for file in sorted(folder.glob(_readable(model, device, dtype) + "_*.json")):
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
