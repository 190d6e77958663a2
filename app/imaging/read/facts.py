"""Derive the facts and notes about an image file from its header."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from app.core.image import ImageFacts
from app.core.plan.geometry import Size


@dataclass(frozen=True, slots=True)
class Header:
    """Describe a file as Pillow opened it, before its pixels.

    Attributes:
        format: Pillow's name.
        size: the size as stored.
        mode: Pillow's mode.
        orientation: EXIF's, 1 to 8.
        animated: the file has more frames than the one we read. An MPO's pictures are no frames.
        transparent: one colour is transparent. An alpha channel shows in ``mode`` instead.
        drops_profile: the colour profile does not describe RGB pixels.
    """

    format: str
    size: Size
    mode: str
    orientation: int
    animated: bool
    transparent: bool
    drops_profile: bool

    @property
    def upright(self) -> Size:
        """Return the size of the upright image; orientations 5 to 8 swap the sides."""
        return self.size if self.orientation < 5 else Size(self.size.height, self.size.width)


def facts_of(data: bytes, header: Header, upright: Size) -> ImageFacts:
    """Collect the facts about the file ``data`` with an upright image of ``upright`` px."""
    return ImageFacts(
        size=upright,
        format="jpeg" if header.format == "MPO" else header.format.lower(),
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
    if header.drops_profile:
        notes.append("the colour profile is dropped, as it does not describe RGB pixels")
    return tuple(notes)
