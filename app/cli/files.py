"""Files that are written: their name, their format, and nothing overwritten by accident."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from app.core.plan.geometry import Grid
from app.imaging.pictures import PictureFormat
from app.imaging.write.render import OutputFormat

_FORMATS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".gif": "gif",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".svg": "svg",
}
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif", "bmp": ".bmp"}
_DRAWN: dict[str, PictureFormat] = {"png": "png", "svg": "svg"}
_WRITTEN: dict[str, OutputFormat] = {"jpeg": "jpeg", "png": "png", "webp": "webp"}


def suffix_format(path: Path | None) -> OutputFormat | None:
    """The format that a file's name asks for, if it is one we write."""
    return _WRITTEN.get(_FORMATS.get(path.suffix.lower(), "")) if path else None


def drawing_format(path: Path | None) -> PictureFormat | None:
    """The same, of the formats that are drawn."""
    return _DRAWN.get(_FORMATS.get(path.suffix.lower(), "")) if path else None


def default_output(source: Path, grid: Grid, form: str) -> Path:
    """``photo.4crops.jpg`` beside ``photo.jpg``; its suffix stays where its format does."""
    keeps = _FORMATS.get(source.suffix.lower()) == form
    suffix = source.suffix if keeps else _SUFFIXES.get(form, f".{form}")
    crops = f"{grid.crops}crop{'s' if grid.crops > 1 else ''}"
    return source.with_name(f"{source.stem}.{crops}{suffix}")


def check_output(path: Path, form: str, *, source: Path | None, force: bool) -> None:
    """Refuse a name that is taken, or that says another format than the file will have.

    Args:
        path: to be written.
        form: what it will hold.
        source: the image it is made of, if there is one.
        force: whether what is there may be overwritten.

    Raises:
        typer.BadParameter: saying which.
    """
    if source and path.exists() and path.samefile(source):
        raise _refused(f"{path} is the image itself, which is never overwritten")
    if path.exists() and not force:
        raise _refused(f"{path} exists already; --force overwrites it")
    named = _FORMATS.get(path.suffix.lower(), form)
    if named != form:
        raise _refused(f"{path} has a name of {named}, but it would hold {form}; see --format")


def write_output(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file. Raises typer.BadParameter where that cannot be done."""
    try:
        # "x": a file that has come since the check is not overwritten either.
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except OSError as error:
        raise _refused(f"{path} cannot be written: {error.strerror}") from None


def check_result(path: Path, *, force: bool, option: str = "--out") -> None:
    """Refuse a file for what takes minutes to measure, before it is measured: one that is there, or
    that could not be written.

    Args:
        path: to be written.
        force: whether what is there may be overwritten.
        option: that names it.

    Raises:
        typer.BadParameter: saying which.
    """
    if path.exists() and not force:
        raise typer.BadParameter(f"{path} exists already; --force overwrites it", param_hint=option)
    folder = next(one for one in path.absolute().parents if one.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        place = path if path.is_dir() else folder
        reason = "is a folder" if path.is_dir() else "is no folder that can be written to"
        raise typer.BadParameter(f"{path} cannot be written: {place} {reason}", param_hint=option)


def _refused(reason: str) -> typer.BadParameter:
    return typer.BadParameter(reason, param_hint="OUT")
