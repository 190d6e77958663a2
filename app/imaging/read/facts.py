"""What is known of an image file besides its pixels, worded once for every way of reading it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from app.core.image import ImageFacts
from app.core.plan.geometry import Size


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says before its pixels.

    ``format`` and ``mode`` are Pillow's names, ``size`` is as stored, ``orientation`` is EXIF's,
    1 to 8. ``animated``: of several frames only the first is read (the pictures of an MPO are no
    frames). ``transparent``: a colour is declared transparent; an alpha channel shows in ``mode``.
    """

    format: str
    size: Size
    mode: str
    orientation: int = 1
    animated: bool = False
    transparent: bool = False

    @property
    def upright(self) -> Size:
        """The size once the orientation is applied; 5 to 8 swap the sides."""
        return self.size if self.orientation < 5 else Size(self.size.height, self.size.width)


def facts_of(data: bytes, header: Header, upright: Size) -> ImageFacts:
    """The facts of the file ``data``, whose picture is ``upright`` px once it is upright."""
    return ImageFacts(
        size=upright,
        format=_plain_name(header.format),
        byte_count=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        orientation=header.orientation,
        notes=_notes(header),
    )


def _notes(header: Header) -> tuple[str, ...]:
    mode, notes = header.mode, []
    if header.animated:
        notes.append("only the first frame of several is read")
    if header.orientation != 1:
        notes.append(f"turned upright by EXIF orientation {header.orientation}")
    if header.transparent or mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        notes.append("transparency is dropped, as Molmo's loader does")
    if mode.startswith("I;16"):
        notes.append(
            "16-bit grey is reduced to its high byte; Molmo's loader would clip it to white"
        )
    elif mode in ("I", "F"):
        notes.append("32-bit grey is cut to 0…255, as Molmo's loader does")
    elif mode not in ("RGB", "RGBA"):
        notes.append(f"converted from {mode} to RGB")
    return tuple(notes)


def _plain_name(name: str) -> str:
    return "jpeg" if name == "MPO" else name.lower()
