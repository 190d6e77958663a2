"""A profile: measured vision-token latency per number of crops, and under what it was measured.

A profile is a file that is written by measuring and read by planning, so it is plain data here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from math import ceil, floor, inf
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from app.core.errors import InvalidProfile

SCHEMA_VERSION = 1
"""Raised with every change of the fields, and of the encoder that makes old figures untrue."""

DeviceType = Literal["cpu", "cuda"]
Weights = Literal["random", "checkpoint"]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The distribution of a latency in ms, over ``samples`` passes."""

    p50: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float
    samples: int

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Percentiles:
        """Percentiles by linear interpolation between the two nearest samples (numpy's default).

        Raises:
            ValueError: no samples.
        """
        ordered = sorted(samples_ms)
        if not ordered:
            raise ValueError("percentiles need at least one sample")
        return cls(
            p50=_quantile(ordered, 0.50),
            p90=_quantile(ordered, 0.90),
            p95=_quantile(ordered, 0.95),
            p99=_quantile(ordered, 0.99),
            min=ordered[0],
            max=ordered[-1],
            samples=len(ordered),
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below, above = ordered[floor(position)], ordered[ceil(position)]
    return below + (above - below) * (position - floor(position))


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """Latency of one number of crops.

    ``total_crops`` counts the global crop; the entry of 1 is the global crop alone and has
    ``rows = cols = 0``. ``vision_ms`` runs from crops on the device to vision tokens ready;
    ``vit_ms`` and ``connector_ms`` are its two parts, measured in the same passes.
    ``flops`` is the needed work of :mod:`app.core.cost`; ``gflop_per_s`` is it over the p50.
    """

    total_crops: int
    rows: int
    cols: int
    patch_tokens: int
    vision_ms: Percentiles
    vit_ms: Percentiles
    connector_ms: Percentiles
    flops: int
    gflop_per_s: float
    samples_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """The conditions that decide a latency. A saved profile is reused only if all of them agree.

    The kind of weights does not change a latency, but a reader must know which was measured.
    """

    model: str
    device: str
    device_type: DeviceType
    dtype: str
    weights: Weights
    overlap_margins: tuple[int, int]
    threads: int
    torch_version: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Entries by rising ``total_crops``, with the conditions they were measured under.

    ``versions`` has the keys ``python``, ``torch`` and ``crop_planner``; ``measured_at`` is
    ISO 8601 in UTC; ``matmul_gflop_per_s`` is what the device reaches on one large product;
    ``complete`` says whether every count that was asked for was measured in full.
    """

    schema_version: int
    model: str
    device: str
    device_type: DeviceType
    dtype: str
    weights: Weights
    overlap_margins: tuple[int, int]
    threads: int
    versions: dict[str, str]
    measured_at: str
    warmup: int
    matmul_gflop_per_s: float | None
    complete: bool
    entries: tuple[ProfileEntry, ...]

    @property
    def key(self) -> ProfileKey:
        return ProfileKey(
            model=self.model,
            device=self.device,
            device_type=self.device_type,
            dtype=self.dtype,
            weights=self.weights,
            overlap_margins=self.overlap_margins,
            threads=self.threads,
            torch_version=self.versions["torch"],
        )

    def matches(self, key: ProfileKey) -> bool:
        """Whether this profile was measured under the conditions of ``key``."""
        return self.key == key

    def entry(self, total_crops: int) -> ProfileEntry | None:
        """The entry of just that count, never an interpolated one."""
        return next((e for e in self.entries if e.total_crops == total_crops), None)

    def to_json(self) -> str:
        """The profile as a JSON object with the names of the fields."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidProfile: naming the field that is missing or wrong.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise InvalidProfile(f"a profile is JSON: {error}", field="") from error
        _require(isinstance(data, dict), "", "a profile is a JSON object")
        version = data.get("schema_version")
        _require(
            version == SCHEMA_VERSION, "schema_version", f"{version!r} is not {SCHEMA_VERSION}"
        )
        profile: Profile = _read(cls, data, "")
        _check(profile)
        return profile


def _require(condition: bool, field: str, reason: str) -> None:
    if not condition:
        raise InvalidProfile(f"{field}: {reason}" if field else reason, field=field)


def _read(kind: Any, value: Any, field: str) -> Any:
    """``value``, out of JSON, as the type ``kind``; every number of a profile is finite and ≥ 0."""
    if is_dataclass(kind):
        return _read_fields(kind, value, field)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        _require(value in args, field, f"{value!r} is none of {', '.join(map(repr, args))}")
        return value
    if origin is UnionType:  # "or None", the only union here
        return None if value is None else _read(args[0], value, field)
    if origin is dict:
        _require(isinstance(value, dict), field, "not an object")
        return {name: _read(args[1], item, f"{field}.{name}") for name, item in value.items()}
    if origin is tuple:
        _require(isinstance(value, list), field, "not a list")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        _require(len(kinds) == len(value), field, f"wants {len(kinds)} values, has {len(value)}")
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(_read(item, inner, f"{field}[{i}]") for i, (item, inner) in pairs)
    if kind is float and type(value) is int and abs(value) < 2**53:
        value = float(value)
    _require(type(value) is kind, field, f"{value!r} is no {kind.__name__}")
    if kind in (int, float):
        _require(0 <= value < inf, field, f"{value!r} is not finite and at least 0")
    return value


def _read_fields(kind: Any, value: Any, field: str) -> Any:
    _require(isinstance(value, dict), field, "not an object")
    prefix = f"{field}." if field else ""
    hints = get_type_hints(kind)
    for name in sorted(hints.keys() | value.keys()):
        _require(name in value, prefix + name, "missing")
        _require(name in hints, prefix + name, "unknown field")
    return kind(**{name: _read(hint, value[name], prefix + name) for name, hint in hints.items()})


def _check(profile: Profile) -> None:
    """The laws between fields that their types do not hold."""
    _require("torch" in profile.versions, "versions.torch", "missing")
    counts = [entry.total_crops for entry in profile.entries]
    _require(counts == sorted(set(counts)), "entries", "total_crops must rise without repetition")
    for index, entry in enumerate(profile.entries):
        at = f"entries[{index}]"
        crops = entry.rows * entry.cols + 1
        _require(entry.total_crops == crops, f"{at}.total_crops", "is not rows x cols + 1")
        samples = len(entry.samples_ms)
        for name in ("vision_ms", "vit_ms", "connector_ms"):
            times: Percentiles = getattr(entry, name)
            rising = (times.min, times.p50, times.p90, times.p95, times.p99, times.max)
            _require(list(rising) == sorted(rising), f"{at}.{name}", "percentiles must rise")
            _require(0 < times.samples == samples, f"{at}.{name}.samples", "is not their number")


def profile_filename(key: ProfileKey) -> str:
    """A file name that says what was measured, with a digest that no two keys share."""
    digest = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()[:10]
    return f"{profile_prefix(key.model, key.device, key.dtype, key.weights)}{digest}.json"


def profile_prefix(*told: str) -> str:
    """How the names of all profiles of a model, device, dtype and kind of weights begin."""
    readable = "_".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.") for part in told)
    return f"{readable[:120]}_"


def save_profile(profile: Profile, folder: Path) -> Path:
    """Write the profile into ``folder`` under its own name; readers see the old file or the new.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / profile_filename(profile.key)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".profile-", suffix=".tmp")
    try:
        os.fchmod(handle, 0o644)  # a profile is no secret, and another user's service reads it
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(profile.to_json())
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
        InvalidProfile: the file cannot be read, or is no profile; the field is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(f"cannot read {path.name}: {error}", file=path.name) from error
    return Profile.from_json(text)
