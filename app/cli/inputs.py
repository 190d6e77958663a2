"""What commands read: settings from the environment, images and profiles from files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.arguments import parse_margins
from app.core.errors import MalformedRequest, PayloadTooLarge
from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions, predict
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import family_named
from app.core.plan.plan import CropPlan
from app.profiles import load_profile

if TYPE_CHECKING:
    from app.imaging.read.decode import Picture
    from app.settings import Settings

NO_PROFILE = (
    "no profile was given: `crop-planner measure` makes one, and --profile FILE or "
    "CROP_PLANNER_PROFILE names it"
)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file, decoded."""

    picture: Picture
    decode_ms: float


def read_settings(**overrides: Any) -> Settings:
    """The settings of the environment; an override that is None leaves its setting alone.

    Raises:
        typer.BadParameter: naming each variable that cannot be used.
    """
    from pydantic import ValidationError

    from app.settings import Settings

    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        wrong = "; ".join(
            f"CROP_PLANNER_{'_'.join(map(str, item['loc'])).upper()}={item['input']}: {item['msg']}"
            for item in error.errors()
        )
        raise typer.BadParameter(wrong, param_hint="environment") from None


def effective_config(
    settings: Settings,
    model: str | None,
    max_crops: int | None,
    overlap_margins: str | None,
    crop_size_px: int | None,
) -> CropConfig:
    """The configuration of a command: the family's own values and what overrides them."""
    return make_config(
        family_named(model or settings.model),
        max_crops=max_crops,
        overlap_margins=parse_margins(overlap_margins) if overlap_margins else None,
        crop_size_px=crop_size_px,
    )


def read_bytes(path: Path, settings: Settings) -> bytes:
    """Read an image file, within the limits that hold for an upload.

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


def read_image(path: Path, settings: Settings) -> ImageFile:
    """Read and decode an image.

    Raises:
        typer.BadParameter, PayloadTooLarge, MalformedRequest: as :func:`read_bytes` says.
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
    """
    from app.imaging.read.decode import decode

    data = read_bytes(path, settings)
    started = time.perf_counter()
    picture = decode(data, max_pixels=settings.max_pixels)
    return ImageFile(picture, (time.perf_counter() - started) * 1e3)


def read_profile(path: Path | None, settings: Settings) -> Profile | None:
    """The profile in the file that is named, or else the one of the settings, if there is one.

    Raises:
        InvalidProfile: it cannot be used.
    """
    file = path or settings.profile
    return load_profile(file) if file else None


def named_or_saved(path: Path | None, config: CropConfig, settings: Settings) -> Predictions:
    """By the profile that is named, or else by the one saved for this device.

    Raises:
        InvalidProfile: the named one cannot be used.
    """
    profile = read_profile(path, settings)
    if profile is not None:
        return Predictions(LatencyModel(profile), "")
    from app.cli.latency import saved_predictions  # needs torch, which takes seconds to import

    return saved_predictions(config, settings)


def given_latency(profile: Profile | None, plan: CropPlan) -> Latency:
    """The plan's latency by a profile that was named; no other is looked for."""
    return predict(profile, plan, NO_PROFILE)
