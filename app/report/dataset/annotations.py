"""Read COCO-style annotation files.

A file is ``{"images": [{"id", "width", "height", "file_name"}, …], …}``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import InvalidSize
from app.core.plan.geometry import Size
from app.report.dataset.foreign_text import read_json
from app.report.errors import InvalidDataset, Skipped

_LARGEST_ID = 2**63 - 1
"""Limit ids to 64 bits. Ids become parts of file names, and databases have no larger ones."""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """Describe an annotated image; the id replaces a missing ``file_name``."""

    image_id: int | str
    file_name: str
    size: Size


def read_annotations(path: Path) -> list[AnnotatedImage | Skipped]:
    """Read the images of an annotation file in its order; other content is ignored.

    Of several entries with one id only the first is an image.

    Raises:
        InvalidDataset: the file is unreadable or no annotation file.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise InvalidDataset(f"{path.name} cannot be read as JSON: {error}") from None
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InvalidDataset(
            f"{path.name} is no annotation file: it has no list `images` of objects with id, "
            "width, height and file_name"
        )
    return list(_images(entries))


def _images(entries: list[Any]) -> Iterator[AnnotatedImage | Skipped]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        read = _image(entry, f"images[{index}]")
        if isinstance(read, AnnotatedImage):
            if str(read.image_id) in seen:
                read = Skipped(read.file_name, f"images[{index}]: id {read.image_id} came before")
            else:
                seen.add(str(read.image_id))
        yield read


def _image(entry: Any, at: str) -> AnnotatedImage | Skipped:
    if not isinstance(entry, dict):
        return Skipped(at, f"{at} is not an object")
    image_id, name = entry.get("id"), entry.get("file_name")
    called = name if isinstance(name, str) else at
    # A bool is an int to isinstance.
    if not isinstance(image_id, int | str) or isinstance(image_id, bool) or image_id == "":
        return Skipped(called, f"{at}: id is neither an integer nor a string")
    if isinstance(image_id, int) and abs(image_id) > _LARGEST_ID:
        return Skipped(called, f"{at}: id has more than 64 bits")
    width, height = entry.get("width"), entry.get("height")
    if type(width) is not int or type(height) is not int:
        return Skipped(called, f"{at}: width and height are not both whole px")
    try:
        size = Size(width, height)
    except InvalidSize as error:
        return Skipped(called, f"{at}: {error.detail}")
    return AnnotatedImage(image_id, name if isinstance(name, str) and name else str(image_id), size)
