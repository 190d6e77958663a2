"""Open a data set: sizes of all images, and files of those present.

A data set is a folder of images, a COCO-style annotation file with or without its images, or a
folder with several of either ("splits"). No pixels are decoded here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from app.core.errors import CropPlannerError
from app.core.plan.geometry import Size
from app.imaging.read.header import look
from app.report.dataset.annotations import AnnotatedImage, read_annotations
from app.report.dataset.foreign_text import (
    file_ids,
    plain_text,
    safe,
    spoken_number,
    without_suffix,
)
from app.report.dataset.places import (
    chosen_source,
    file_in,
    image_files,
    images_folder,
    known_splits,
)
from app.report.errors import InvalidDataset, Skipped, why

Counted = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """Describe an image of a data set.

    Attributes:
        image_id: the annotation's id with a string in safe characters; in a folder the relative
            path without its suffix. Ids are unique, and each can be part of a file name.
        file_name: as annotated, or relative to the folder, with ``/``.
        size: upright px.
        path: None if only the size is known.
    """

    image_id: int | str
    file_name: str
    size: Size
    path: Path | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Hold the images of a set: by rising id if annotated, else by path.

    All but ``path`` is the same on every machine. ``name`` is the last part of the source's path.
    """

    name: str
    split: str | None
    kind: Literal["folder", "annotations"]
    images: tuple[DatasetImage, ...]
    skipped: tuple[Skipped, ...]
    _found: Mapping[tuple[int, str], DatasetImage | None] = field(
        init=False, repr=False, compare=False
    )
    """Images by the kind of a name and the name; None stands for several of one name."""

    def __post_init__(self) -> None:
        found: dict[tuple[int, str], DatasetImage | None] = {}
        for image in self.images:
            for key in enumerate(_names(str(image.image_id), image.file_name)):
                found[key] = None if key in found else image
        object.__setattr__(self, "_found", found)

    def find(self, image_id: int | str) -> DatasetImage | None:
        """Find the image of an id or a name from another file; return None for no match or several.

        The search goes by id, then by file name, its last part, that part without its suffix, and
        its number: 139 finds ``000000000139.jpg``, and the other way round.
        """
        asked = str(image_id)
        if not asked:  # `safe` would turn "" into a name
            return None
        keys = enumerate(_names(safe(asked), asked))
        return next((self._found[key] for key in keys if key in self._found), None)


def open_dataset(
    source: Path,
    split: str | None = None,
    *,
    images: Path | None = None,
    max_pixels: int,
    progress: Counted = lambda done, total: None,
) -> Dataset:
    """Open a data set and read the sizes of its images.

    Args:
        source: a folder, searched at every depth for image files, hidden files excepted; an
            annotation file; or a folder with splits.
        split: of a folder, the subfolder of that name, also in ``images/``, else
            ``annotations/*_{split}.json``. Of an annotation file, a part of its name.
        images: the folder of the annotated files; by default looked for beside the annotations. The
            upright size of a present file counts, not the annotated size.
        max_pixels: larger files are skipped; a size alone is not.
        progress: called with the number of images read and the number of all.

    Raises:
        InvalidDataset: nothing there, no usable image, no annotation file, or no such split.
    """
    split = split or None
    if not source.exists():
        raise InvalidDataset(f"there is nothing at {source}", actual=str(source))
    chosen = chosen_source(source, split)
    if chosen.is_dir():
        if images is not None:
            raise InvalidDataset("a folder of images has its files itself: leave `images` out")
        kind: Literal["folder", "annotations"] = "folder"
        found, skipped = _of_folder(chosen, max_pixels, progress)
    else:
        kind = "annotations"
        entries = read_annotations(chosen)
        names = [entry.file_name for entry in entries if isinstance(entry, AnnotatedImage)]
        folder = images_folder(chosen, names, split, images)
        found, skipped = _of_annotations(entries, folder, max_pixels, progress)
    if not found:
        raise _nothing(source, chosen, skipped)
    return Dataset(_name(source), split, kind, tuple(found), tuple(skipped))


def _of_folder(
    folder: Path, max_pixels: int, progress: Counted
) -> tuple[list[DatasetImage], list[Skipped]]:
    skipped: list[Skipped] = []

    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        skipped.append(Skipped(plain_text(name), f"the folder cannot be read: {error.strerror}"))

    files = {path.relative_to(folder).as_posix(): path for path in image_files(folder, unreadable)}
    sizes: dict[str, Size] = {}
    for done, name in enumerate(sorted(files), 1):
        size = _size_of(files[name], max_pixels)
        if isinstance(size, Size) and plain_text(name) == name:
            sizes[name] = size
        else:
            reason = size if isinstance(size, str) else "its name is not valid Unicode"
            skipped.append(Skipped(plain_text(name), reason))
        progress(done, len(files))
    ids = file_ids(list(sizes))
    images = [
        DatasetImage(image_id, name, size, files[name])
        for image_id, (name, size) in zip(ids, sizes.items(), strict=True)
    ]
    return images, skipped


def _of_annotations(
    entries: Sequence[AnnotatedImage | Skipped],
    folder: Path | None,
    max_pixels: int,
    progress: Counted,
) -> tuple[list[DatasetImage], list[Skipped]]:
    images: dict[str, DatasetImage] = {}
    skipped: list[Skipped] = []
    for done, entry in enumerate(entries, 1):
        progress(done, len(entries))
        if isinstance(entry, Skipped):
            skipped.append(entry)
            continue
        path = file_in(entry.file_name, folder) if folder else None
        size = _size_of(path, max_pixels) if path else entry.size
        image_id = entry.image_id if isinstance(entry.image_id, int) else safe(entry.image_id)
        if isinstance(size, str):
            skipped.append(Skipped(entry.file_name, size))
        elif str(image_id) in images:
            skipped.append(Skipped(entry.file_name, f"another id is {image_id}, too"))
        else:
            images[str(image_id)] = DatasetImage(image_id, entry.file_name, size, path)
    rising = sorted(images.values(), key=lambda i: (isinstance(i.image_id, str), i.image_id))
    return rising, skipped


def _size_of(path: Path, max_pixels: int) -> Size | str:
    """Return the upright size of an image file, or the reason for none."""
    if not path.is_file():  # reading a pipe would block
        return "it is not a file"
    try:
        return look(path.read_bytes(), max_pixels=max_pixels).size
    except (CropPlannerError, OSError, MemoryError) as error:
        return why(error)


def _nothing(source: Path, chosen: Path, skipped: list[Skipped]) -> InvalidDataset:
    said = f"{chosen.name or chosen} holds no image that can be used"
    if skipped:
        first = skipped[0]
        said += f"; {len(skipped)} skipped, the first is {first.name}: {first.reason}"
    elif chosen.is_dir() and (splits := sorted(known_splits(source))):
        said += f"; but there are the splits {', '.join(splits)}"
    return InvalidDataset(said, actual=str(source))


def _name(source: Path) -> str:
    named = source if source.name not in ("", "..") else source.resolve()
    return plain_text(named.name) or "root"


def _names(image_id: str, file_name: str) -> tuple[str, ...]:
    """Return all names of an image in the order of :meth:`Dataset.find`."""
    last, number = PurePosixPath(file_name).name, spoken_number(file_name)
    names = (image_id, file_name, last, without_suffix(last))
    return names if number is None else (*names, str(number))
