"""Define the facts about an image file."""

from dataclasses import dataclass

from app.core.plan.geometry import Size


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Describe an image file without its pixels.

    Attributes:
        size: the size of the upright image.
        format: Pillow's name in lower case.
        byte_count: the length of the file.
        sha256: the hash of the file, in hexadecimal.
        orientation: the EXIF value that was applied; 1 is upright.
        notes: losses between the file and its RGB pixels, in words.
    """

    size: Size
    format: str
    byte_count: int
    sha256: str
    orientation: int
    notes: tuple[str, ...]
