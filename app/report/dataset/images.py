"""The images that an experiment is about: sizes always, files where there are any.

A data set is a folder of images, a COCO-style annotation file with or without its images, or a
folder that has several of either ("splits") in it. Pixels are not decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from app.core.errors import CropPlannerError, InvalidDataset
from app.core.plan.geometry import Size
from app.imaging.read.header import look
from app.report.dataset.annotations import Annotated, BadEntry, read_annotations
from app.report.dataset.identity import file_ids, plain_text, safe, spoken_number, without_suffix
from app.report.dataset.places import (
    chosen_source,
    file_in,
    image_files,
    images_folder,
    known_splits,
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """An image of a data set.

    Attributes:
        image_id: the annotation's id, a string in safe characters; in a folder the relative path
            without its suffix. No two of a data set are equal, and each can be part of a file name.
        file_name: as annotated, or relative to the folder, with ``/``.
        size: upright px.
        path: None if only the size is known.
    """

    image_id: int | str
    file_name: str
    size: Size
    path: Path | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that is not part of the data set, and one sentence why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images by rising id if annotated, else by path; the same on every machine but for ``path``.

    ``name`` is the last part of the source's path, never all of it.
    """

    name: str
    split: str | None
    kind: Literal["folder", "annotations"]
    images: tuple[DatasetImage, ...]
    skipped: tuple[Skipped, ...]
    _found: tuple[Mapping[str, DatasetImage | None], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_found", tuple(_index(self.images, names) for names in _NAMES))

    def find(self, image_id: int | str) -> DatasetImage | None:
        """The image that an id or a name of another file stands for, None if none or several do.

        By id; else by file name; by its last part; by that without its suffix; by the number that
        this is, so that 139 finds ``000000000139.jpg`` and the other way round.
        """
        asked = str(image_id)
        if not asked:  # which `safe` has a name for
            return None
        names = (safe(asked), asked, _last(asked), _stem(asked), _number(asked))
        for name, index in zip(names, self._found, strict=True):
            if name is not None and name in index:
                return index[name]
        return None


def open_dataset(
    source: Path,
    split: str | None = None,
    *,
    images: Path | None = None,
    max_pixels: int,
    progress: Progress = lambda done, total: None,
) -> Dataset:
    """Read what a data set consists of.

    Args:
        source: a folder that is searched to its depths for files with an image's suffix (hidden
            ones are not looked at); an annotation file; or a folder that has the split in it.
        split: of a folder, the subfolder of that name, also in ``images/``; or, where that has no
            image, ``annotations/*_{split}.json``. Of an annotation file, a part of its name.
        images: the folder with the files of an annotation file; by default looked for beside it.
            Where a file is there, its own upright size counts, not the annotated one.
        max_pixels: larger files are skipped; a size alone is not.
        progress: called with how many images were looked at, and of how many.

    Raises:
        InvalidDataset: nothing there, no image in it, no annotation file, or no such split.
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
        names = [entry.file_name for entry in entries if isinstance(entry, Annotated)]
        folder = images_folder(chosen, names, split, images)
        found, skipped = _of_annotations(entries, folder, max_pixels, progress)
    if not found:
        raise _nothing(source, chosen, skipped)
    return Dataset(_name(source), split, kind, tuple(found), tuple(skipped))


def _of_folder(
    folder: Path, max_pixels: int, progress: Progress
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
    entries: Sequence[Annotated | BadEntry],
    folder: Path | None,
    max_pixels: int,
    progress: Progress,
) -> tuple[list[DatasetImage], list[Skipped]]:
    images: dict[str, DatasetImage] = {}
    skipped: list[Skipped] = []
    for done, entry in enumerate(entries, 1):
        progress(done, len(entries))
        if not isinstance(entry, Annotated):
            skipped.append(Skipped(plain_text(entry.name), entry.reason))
            continue
        path = file_in(entry.file_name, folder) if folder else None
        size = _size_of(path, max_pixels) if path else entry.size
        image_id = entry.image_id if isinstance(entry.image_id, int) else safe(entry.image_id)
        if isinstance(size, str):
            skipped.append(Skipped(plain_text(entry.file_name), size))
        elif str(image_id) in images:
            skipped.append(Skipped(plain_text(entry.file_name), f"another id is {image_id}, too"))
        else:
            images[str(image_id)] = DatasetImage(image_id, entry.file_name, size, path)
    rising = sorted(images.values(), key=lambda i: (isinstance(i.image_id, str), i.image_id))
    return rising, skipped


def _size_of(path: Path, max_pixels: int) -> Size | str:
    """The upright size of an image file, or why it has none."""
    if not path.is_file():  # a pipe would be waited for
        return "it is not a file"
    try:
        return look(path.read_bytes(), max_pixels=max_pixels).size
    except (CropPlannerError, OSError, MemoryError) as error:
        return why(error)


def why(error: CropPlannerError | OSError | MemoryError) -> str:
    """What an image is skipped for, in words."""
    if isinstance(error, CropPlannerError):
        return error.detail
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}"
    return "the memory is too small for it"


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


def _last(name: str) -> str:
    return PurePosixPath(name).name


def _stem(name: str) -> str:
    return without_suffix(_last(name))


def _number(name: str) -> str | None:
    number = spoken_number(name)
    return None if number is None else str(number)


_NAMES: tuple[Callable[[DatasetImage], str | None], ...] = (
    lambda image: str(image.image_id),
    lambda image: image.file_name,
    lambda image: _last(image.file_name),
    lambda image: _stem(image.file_name),
    lambda image: _number(image.file_name),
)


def _index(
    images: tuple[DatasetImage, ...], name_of: Callable[[DatasetImage], str | None]
) -> Mapping[str, DatasetImage | None]:
    """Images by a kind of name; None stands for several of that name."""
    index: dict[str, DatasetImage | None] = {}
    for image in images:
        name = name_of(image)
        if name is not None:
            index[name] = None if name in index else image
    return index
