"""The laws between the fields of a profile, which their types do not hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from math import isclose

from app.core.json import require
from app.core.latency.profile import Profile
from app.core.latency.profile_entry import ProfileEntry, StateEntry
from app.core.latency.timings import Samples

ROUNDING = 1e-3
"""How far a figure may be from its samples, in ms or as a share: both may have been rounded."""


def check_laws(profile: Profile) -> None:
    """Raise InvalidProfile, naming the field, where a profile contradicts itself."""
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
    """That what a file says is what follows from its samples."""
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
