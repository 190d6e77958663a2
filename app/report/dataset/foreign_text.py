"""Make names and JSON from other programs safe to use and to write again."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
)

_MOST_BYTES = 150
"""Limit the bytes of an id. A file system allows names of 255, and an id is a part of a name."""


def plain_text(text: str) -> str:
    """Replace each lone surrogate by U+FFFD.

    Surrogates stand for undecodable bytes of a file name. JSON can hold them, UTF-8 cannot.
    """
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def safe(text: str) -> str:
    """Reduce ``text`` to a part of a file name: letters, digits, ``_``, ``-`` and ``.``."""
    plain = re.sub(r"[^\w.-]", "_", text)
    return plain.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore") or "_"


def without_suffix(name: str) -> str:
    """Remove the suffix of an image file from ``name``."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def file_ids(names: Sequence[str]) -> list[str]:
    """Make an id of each relative path: the path in safe characters, without its suffix.

    Equal ids keep their suffix, then get a number. No two ids are equal, even without regard to
    case. The same names in the same order give the same ids.
    """
    short = [safe(without_suffix(name)) for name in names]
    often = Counter(one.casefold() for one in short)
    wanted = [
        one if often[one.casefold()] == 1 else safe(name)
        for one, name in zip(short, names, strict=True)
    ]
    return _numbered(wanted)


def _numbered(wanted: Sequence[str]) -> list[str]:
    often = Counter(one.casefold() for one in wanted)
    taken = {name for name, count in often.items() if count == 1}
    ids = []
    for one in wanted:
        name, number = one, 1
        while often[one.casefold()] > 1 and name.casefold() in taken:
            number += 1
            name = f"{one}_{number}"
        taken.add(name.casefold())
        ids.append(name)
    return ids


def spoken_number(name: str) -> int | None:
    """Read the number in a file name or id, or return None.

    ``000000000139.jpg`` is 139, and so is COCO's ``COCO_val2014_000000000139.jpg``.
    """
    stem = PurePosixPath(without_suffix(name)).name
    match = re.fullmatch(r"(?:COCO_\w+_)?(\d{1,18})", stem, re.ASCII)
    return int(match[1]) if match else None


def read_json(path: Path) -> Any:
    """Read a JSON file so that its values can be written as strict JSON in UTF-8.

    NaN and infinities, as Python and numpy write them, become None. Lone surrogates become U+FFFD.

    Raises:
        ValueError: the file is unreadable or no JSON. The message has the reason and no path.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return _plain(content) if "\\ud" in text.lower() else content
    except OSError as error:
        raise ValueError(error.strerror) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _plain(value: Any) -> Any:
    """Replace surrogates at every depth."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {plain_text(key): _plain(one) for key, one in value.items()}
    return value
