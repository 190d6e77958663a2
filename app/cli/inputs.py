"""Read the inputs of commands: text, settings and images."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import ValidationError

from app import notation
from app.core.errors import InvalidConfig, MalformedRequest, PayloadTooLarge
from app.core.plan.config import MAX_CROPS_LIMIT
from app.core.plan.geometry import Size
from app.settings import Settings

T = TypeVar("T")


def parse_size(text: str) -> Size:
    """Read ``640x480`` as a width of 640 and a height of 480 px."""
    match = re.fullmatch(r"(\d{1,7})x(\d{1,7})", text.strip(), re.ASCII)
    if match is None:
        raise typer.BadParameter("a size is WIDTHxHEIGHT in px, for example 640x480")
    return Size(int(match[1]), int(match[2]))


def _for_typer(parse: Callable[[str], T], *, hint: str | None = None) -> Callable[[str], T]:
    """Turn a refusal of the notation of HTTP into a usage error."""

    @wraps(parse)
    def parsed(text: str) -> T:
        try:
            return parse(text.strip())
        except InvalidConfig as error:
            raise typer.BadParameter(error.detail, param_hint=hint) from None

    return parsed


parse_grid = _for_typer(notation.parse_grid)
parse_margins = _for_typer(notation.parse_margins, hint="--overlap-margins")
parse_aspect = _for_typer(notation.parse_aspect)


def parse_counts(text: str) -> tuple[int, ...]:
    """Read ``1-4,8`` as 1, 2, 3, 4 and 8 total crops."""
    counts: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip(), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= MAX_CROPS_LIMIT + 1:
            raise typer.BadParameter(
                f"these are total crops from 1 to {MAX_CROPS_LIMIT + 1}, as in 1-13 or 1,5,9",
                param_hint="--counts",
            )
        counts |= set(range(first, last + 1))
    return tuple(sorted(counts))


def read_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment. An override of None changes nothing.

    Raises:
        typer.BadParameter: a variable cannot be used; the error names each.
    """
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(
            f"CROP_PLANNER_{'_'.join(map(str, item['loc'])).upper()}={item['input']}: {item['msg']}"
            for item in error.errors()
        )
        raise typer.BadParameter(wrong, param_hint="environment") from None


def read_bytes(path: Path, settings: Settings) -> bytes:
    """Read an image file within the limits of an upload.

    Raises:
        typer.BadParameter: the file cannot be read.
        PayloadTooLarge, MalformedRequest: too many bytes, or none.
    """
    limit = settings.max_upload_bytes
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be read: {error.strerror}", param_hint="FILE"
        ) from None
    if len(data) > limit:
        raise PayloadTooLarge(
            f"{path.name} has more than {limit} bytes; CROP_PLANNER_MAX_UPLOAD_BYTES is the limit",
            limit=limit,
            actual=path.stat().st_size,
        )
    if not data:
        raise MalformedRequest("the image is empty", limit=1, actual=0)
    return data
