"""Define a profile's file: JSON text with checked laws, and a name from the conditions.

docs/reference/profile.schema.json is the JSON Schema. Reading also checks the laws between
fields.
``app.profiles`` reads and writes the files.
"""

import hashlib
import json
import re
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from math import isclose

from app.core.errors import InvalidProfile
from app.core.json import json_text, read_json, require
from app.core.latency.profile import (
    SCHEMA_VERSION,
    Profile,
    ProfileEntry,
    ProfileKey,
    StateEntry,
)
from app.core.latency.timings import Samples

ROUNDING = 1e-3
"""A figure may differ by this from its samples, in ms or as a share: both may be rounded."""


def profile_to_json(profile: Profile) -> str:
    """Write the profile as a JSON object with the names of the fields."""
    return json_text(asdict(profile))


def profile_from_json(text: str) -> Profile:
    """Read the text of :func:`profile_to_json`.

    Raises:
        InvalidProfile: a field is missing or wrong; the error names the field.
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
    """Name the file of these conditions; a digest keeps the names of all keys apart."""
    readable = readable_name(key.model, key.device, key.dtype, key.runtime, key.weights)
    digest = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()[:10]
    return f"{readable}_{digest}.json"


def readable_name(*parts: str) -> str:
    """Join the parts with ``_``, in plain lower-case characters that every file system takes."""
    plain = (re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.") for part in parts)
    return "_".join(plain)[:120]


def check_laws(profile: Profile) -> None:
    """Raise InvalidProfile at the first field in contradiction to another."""
    require("torch" in profile.versions, "versions.torch", "missing")
    _check_moment(profile.measured_at, "measured_at")
    counts = [entry.total_crops for entry in profile.entries]
    require(counts == sorted(set(counts)), "entries", "total_crops must rise without repetition")
    for index, entry in enumerate(profile.entries):
        _check_entry(entry, f"entries[{index}]")
    for index, state in enumerate(profile.states):
        _check_state(state, f"states[{index}]")


def _check_moment(told: str, at: str) -> None:
    try:
        zoned = datetime.fromisoformat(told).tzinfo is not None
    except ValueError:
        zoned = False
    require(zoned, at, f"{told!r} is no time of ISO 8601 with a time zone")


def _check_entry(entry: ProfileEntry, at: str) -> None:
    samples = entry.samples_ms
    _check_samples(samples, f"{at}.samples_ms")
    computed = ProfileEntry.of(
        samples,
        rows=entry.rows,
        cols=entry.cols,
        patch_tokens=entry.patch_tokens,
        flops=entry.flops,
        warmup=entry.warmup,
        peak_memory_bytes=entry.peak_memory_bytes,
    )
    _check_same(entry, computed, at)


def _check_samples(samples: Samples, at: str) -> None:
    passes = len(samples.vision)
    require(passes > 0, f"{at}.vision", "no passes")
    require(min(samples.vision) > 0, f"{at}.vision", "a pass takes time")
    for name in ("vit", "connector", "cpu"):
        known = len(getattr(samples, name))
        optional = name == "cpu" and known == 0
        require(optional or known == passes, f"{at}.{name}", f"{known} values of {passes} passes")
    parts = zip(samples.vision, samples.vit, samples.connector, strict=True)
    for index, (whole, vit, connector) in enumerate(parts):
        fits = vit + connector <= whole * (1 + ROUNDING) + ROUNDING
        require(fits, f"{at}.vision[{index}]", "less than its two parts")


def _check_state(state: StateEntry, at: str) -> None:
    require(bool(state.samples_ms), f"{at}.samples_ms", "no passes")
    silent = state.silence_s is not None
    require(silent == (state.state == "idle"), f"{at}.silence_s", "is given for idle, and only so")
    computed = StateEntry.of(
        state.state,
        state.samples_ms,
        total_crops=state.total_crops,
        silence_s=state.silence_s,
        load_s=state.load_s,
    )
    _check_same(state, computed, at)


def _check_same(told: object, computed: object, at: str) -> None:
    """Compare a figure of the file with the figure computed from its samples."""
    if told is computed:
        return
    if is_dataclass(told) and type(told) is type(computed):
        for field in fields(told):
            name = field.name
            _check_same(getattr(told, name), getattr(computed, name), f"{at}.{name}")
    elif isinstance(told, float) and isinstance(computed, float):
        same = isclose(told, computed, rel_tol=ROUNDING, abs_tol=ROUNDING)
        require(same, at, f"{told!r} does not follow from the samples, {computed!r} does")
    else:
        require(told == computed, at, f"{told!r} does not follow, {computed!r} does")
