"""Name, check and write the files of commands; overwrite none by accident."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar, get_args

import typer

from app.cli.options import MadeImage
from app.core.plan.geometry import Grid
from app.files import write_whole
from app.imaging.write.render import Output, OutputFormat

_NAMED = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "svg")
_FORMATS = {f".{form}": form for form in _NAMED} | {".jpg": "jpeg", ".tif": "tiff"}
Format = TypeVar("Format", bound=str)


def format_of(path: Path | None, known: Iterable[Format]) -> Format | None:
    """Return the format of a file's suffix if the format is among the ``known`` ones."""
    named = _FORMATS.get(path.suffix.lower()) if path else None
    return next((one for one in known if one == named), None)


def output_of(made: MadeImage) -> Output:
    """Return the form of a made image; OUT's suffix counts without --format."""
    return Output(
        made.form or format_of(made.out, get_args(OutputFormat)), made.quality, made.resample
    )


def write_made(
    source: Path, grid: Grid, form: str, data: bytes | None, made: MadeImage
) -> Path | None:
    """Write a made image as OUT, or as ``photo.4crops.jpg`` beside the image.

    An unchanged format keeps its suffix.

    Returns:
        The file; None for a dry run, which has no ``data``.

    Raises:
        typer.BadParameter: see :func:`check_output` and :func:`write_output`.
    """
    if data is None:
        return None
    same = _FORMATS.get(source.suffix.lower()) == form
    suffix = source.suffix if same else ".jpg" if form == "jpeg" else f".{form}"
    crops = f"{grid.crops}crop{'s' if grid.crops > 1 else ''}"
    path = made.out or source.with_name(f"{source.stem}.{crops}{suffix}")
    check_output(path, form, source=source, force=made.force)
    write_output(path, data, force=made.force)
    return path


def check_output(path: Path, form: str, *, source: Path | None, force: bool) -> None:
    """Refuse a taken name, or a name of another format.

    Args:
        path: the file to write.
        form: the format of the file.
        source: the image behind the file, if there is one.
        force: allow an existing file to be overwritten.

    Raises:
        typer.BadParameter: the reason.
    """
    if source and path.exists() and path.samefile(source):
        raise _refused(f"{path} is the image itself, which is never overwritten")
    if path.exists() and not force:
        raise _refused(f"{path} exists already; --force overwrites it")
    named = _FORMATS.get(path.suffix.lower(), form)
    if named != form:
        raise _refused(f"{path} has a name of {named}, but it would hold {form}; see --format")


def write_output(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file. Raises typer.BadParameter if the file cannot be written."""
    try:
        # "x": a file that has come since the check is not overwritten either.
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except OSError as error:
        raise _refused(f"{path} cannot be written: {error.strerror}") from None


def check_result(path: Path, *, force: bool, option: str = "--out") -> None:
    """Refuse a file that exists or cannot be written, before minutes of measuring.

    Args:
        path: the file to write.
        force: allow an existing file to be overwritten.
        option: the option that names the file.

    Raises:
        typer.BadParameter: the reason.
    """
    if path.exists() and not force:
        raise typer.BadParameter(f"{path} exists already; --force overwrites it", param_hint=option)
    folder = next(one for one in path.absolute().parents if one.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        place = path if path.is_dir() else folder
        reason = "is a folder" if path.is_dir() else "is no folder that can be written to"
        raise typer.BadParameter(f"{path} cannot be written: {place} {reason}", param_hint=option)


def write_result(path: Path, text: str, *, option: str = "--out") -> None:
    """Write a whole file, as checked by :func:`check_result`.

    Raises:
        typer.BadParameter: the file cannot be written.
    """
    try:
        write_whole(path, text)
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be written: {error.strerror}", param_hint=option
        ) from None


def _refused(reason: str) -> typer.BadParameter:
    return typer.BadParameter(reason, param_hint="OUT")
