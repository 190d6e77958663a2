"""Find the folder, the annotation file and the image files of a data set."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from app.report.dataset.foreign_text import IMAGE_SUFFIXES
from app.report.errors import InvalidDataset


def image_files(folder: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """Walk the image files below ``folder`` without hidden ones.

    Links are followed, and no folder is entered twice.
    """
    entered: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = [] if real in entered else sorted(f for f in folders if f[0] != ".")
        if real in entered:
            continue
        entered.add(real)
        for file in sorted(files):
            if file[0] != "." and Path(file).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(here, file)


def chosen_source(source: Path, split: str | None) -> Path:
    """Return the folder or the annotation file of a split.

    Raises:
        InvalidDataset: there is no such split; the detail names the known ones.
    """
    if split is None:
        return source
    if source.is_file():
        if split in source.stem:
            return source
        raise InvalidDataset(f"{source.name} is one split, and not {split}", actual=split)
    folders = [source / split, source / "images" / split]
    for folder in folders if split == Path(split).name else []:
        if folder.is_dir() and next(image_files(folder, lambda _: None), None):
            return folder
    files = [file for file in _annotation_files(source) if _split_of(file) == split]
    if files:
        # COCO has several files of a split, and this is the one about objects in images.
        return next((file for file in files if file.name.startswith("instances_")), files[0])
    known = sorted(known_splits(source))
    there = f"there are {', '.join(known)}" if known else "there is none at all"
    raise InvalidDataset(
        f"{source.name or source} has no split {split} with images in it: {there}",
        actual=split,
        known=known,
    )


def known_splits(source: Path) -> set[str]:
    """Name the subfolders with images, and the annotation files."""
    places = [place for place in (source, source / "images") if place.is_dir()]
    folders = (one for place in places for one in place.iterdir() if one.is_dir())
    with_images = {
        one.name
        for one in folders
        if one.name[0] != "." and next(image_files(one, lambda _: None), None)
    }
    return (with_images - {"images"}) | {_split_of(file) for file in _annotation_files(source)}


def _annotation_files(source: Path) -> list[Path]:
    return [file for file in sorted((source / "annotations").glob("*_*.json")) if file.is_file()]


def _split_of(file: Path) -> str:
    """Return ``val2017`` of ``instances_val2017.json``."""
    return file.stem.rpartition("_")[2]


def images_folder(
    file: Path, names: Sequence[str], split: str | None, images: Path | None
) -> Path | None:
    """Return the folder of the annotated files: the named one, or the first that has a file.

    Raises:
        InvalidDataset: the named folder does not exist.
    """
    if images is not None:
        if not images.is_dir():
            raise InvalidDataset(f"there is no folder {images}", actual=str(images))
        return images
    named = dict.fromkeys(name for name in (split, _split_of(file)) if name)
    for base in (file.parent, file.absolute().parent.parent):
        for place in (base, base / "images"):
            for folder in (*(place / name for name in named), place):
                if folder.is_dir() and any(file_in(name, folder) for name in names):
                    return folder
    return None


def file_in(name: str, folder: Path) -> Path | None:
    """Return the annotated file in ``folder``, never a file outside of it."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return None
    candidates = (folder / relative, folder / relative.name)
    # Unlike Path.is_file, isfile is False for a name too long for the system.
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113
