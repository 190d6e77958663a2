"""``exp2_component_profiling.json``: per image, its crops and what each component took.

Ours and others' are read alike: ``{"results": [{"image_id": …, "num_crops": …, …}, …]}``. Only
these two fields are demanded of a row; docs/reference/timing-file.md lists those that ours have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import InvalidProfiling, InvalidSize
from app.core.plan.geometry import Size
from app.report.dataset.json_file import read_json

PROFILING_FILE = "exp2_component_profiling.json"


@dataclass(frozen=True, slots=True)
class ProfiledImage:
    """One row of the file.

    ``num_crops`` is as the file has it, so with or without the global crop: see
    ``Profiling.counts_global_crop``. ``row`` is everything the file says of the image.
    """

    image_id: int | str
    example_id: int | str | None
    num_crops: int
    num_vision_tokens: int | None
    file_name: str | None
    size: Size | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Profiling:
    """The rows in the file's order; several may be of one image.

    ``counts_global_crop``: whether ``num_crops`` includes it, None where the file does not say.
    Molmo's own code includes it. ``measured_on``: device, dtype, runtime and weights, as far as
    the file says; None where it says nothing. ``contended``: why its times are in doubt.
    """

    results: tuple[ProfiledImage, ...]
    counts_global_crop: bool | None
    measured_on: str | None = None
    contended: str | None = None


def read_profiling(path: Path) -> Profiling:
    """Read such a file; fields that are not known are kept in ``row``.

    Raises:
        InvalidProfiling: it cannot be read or is none; the row and the field that are wrong.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise InvalidProfiling(f"{path.name} cannot be read: {error}", file=path.name) from None
    reader = _Reader(path.name)
    reader.require(isinstance(content, dict), "", "a profiling file is a JSON object")
    rows = content.get("results")
    reader.require(isinstance(rows, list), "results", "missing, or not a list")
    says = content.get("counts_global_crop")
    reader.require(says is None or type(says) is bool, "counts_global_crop", "not true or false")
    contended = content.get("contended")
    return Profiling(
        tuple(reader.image(row, f"results[{index}]") for index, row in enumerate(rows)),
        says,
        _measured_on(content),
        contended if isinstance(contended, str) else None,
    )


def _measured_on(content: Mapping[str, Any]) -> str | None:
    said = [content.get(name) for name in ("device", "dtype", "runtime", "weights")]
    *conditions, weights = (value if isinstance(value, str) else None for value in said)
    known = [*conditions, f"{weights} weights" if weights else None]
    return ", ".join(one for one in known if one) or None


class _Reader:
    """Checks what it reads, and names the file in what it refuses."""

    def __init__(self, file: str) -> None:
        self._file = file

    def require(self, condition: bool, field: str, reason: str) -> None:
        if not condition:
            told = f"{field}: {reason}" if field else reason
            raise InvalidProfiling(f"{self._file}: {told}", file=self._file, field=field)

    def image(self, row: Any, at: str) -> ProfiledImage:
        self.require(isinstance(row, dict), at, "not an object")
        self.require(row.get("image_id") is not None, f"{at}.image_id", "missing")
        self.require("num_crops" in row, f"{at}.num_crops", "missing")
        crops = row["num_crops"]
        self.require(
            type(crops) is int and crops > 0, f"{at}.num_crops", f"{crops!r} is no positive integer"
        )
        tokens, name = row.get("num_vision_tokens"), row.get("file_name")
        self.require(
            tokens is None or (type(tokens) is int and tokens >= 0),
            f"{at}.num_vision_tokens",
            f"{tokens!r} is no number of tokens",
        )
        self.require(name is None or isinstance(name, str), f"{at}.file_name", "not a string")
        return ProfiledImage(
            image_id=self._identity(row, "image_id", at),
            example_id=self._identity(row, "example_id", at),
            num_crops=crops,
            num_vision_tokens=tokens,
            file_name=name,
            size=self._size(row, at),
            row=row,
        )

    def _identity(self, row: Mapping[str, Any], field: str, at: str) -> Any:
        value = row.get(field)
        allowed = value is None or type(value) in (int, str)
        self.require(allowed, f"{at}.{field}", f"{value!r} is neither an integer nor a string")
        return value

    def _size(self, row: Mapping[str, Any], at: str) -> Size | None:
        width, height = row.get("width"), row.get("height")
        if width is None and height is None:
            return None
        whole = type(width) is int and type(height) is int
        self.require(whole, f"{at}.width", "width and height are whole px, or neither is there")
        try:
            return Size(width, height)  # type: ignore[arg-type]  # whole, as was required
        except InvalidSize as error:
            self.require(False, f"{at}.{error.facts['parameter']}", error.detail)
            raise
