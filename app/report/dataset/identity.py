"""What an image of a data set is called, in files that are written and by whoever asks for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
)

_MOST_BYTES = 150
"""Of an id; file systems take names of 255, and an id is a part of one."""


def plain_text(text: str) -> str:
    """``text`` with U+FFFD for what is no character: bytes of a file name that are no text, and
    lone surrogates, which JSON can hold but no UTF-8 file can.
    """
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def safe(text: str) -> str:
    """``text`` as a part of a file name: letters, digits, ``_``, ``-`` and ``.``, not too many."""
    plain = re.sub(r"[^\w.-]", "_", text)
    return plain.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore") or "_"


def without_suffix(name: str) -> str:
    """``name`` less the suffix of an image file, if it has one."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def file_ids(names: Sequence[str]) -> list[str]:
    """An id for each of these relative paths: the path in safe characters, without its suffix.

    With it where two would else be equal, then numbered. No two are equal, not even where a file
    system takes ``A`` for ``a``. The same names in the same order always get the same ids.
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
    """The number that a file name or id stands for: 139 of ``000000000139.jpg``, and of COCO's
    ``COCO_val2014_000000000139.jpg``; None where it is no number.
    """
    stem = PurePosixPath(without_suffix(name)).name
    match = re.fullmatch(r"(?:COCO_\w+_)?(\d{1,18})", stem, re.ASCII)
    return int(match[1]) if match else None
