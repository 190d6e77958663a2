"""Read the inputs of commands: settings, images and profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.core.errors import MalformedRequest, PayloadTooLarge
from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions, predict
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.profiles import load_profile

if TYPE_CHECKING:
    from app.settings import Settings

NO_PROFILE = (
    "no profile was given: `crop-planner measure` makes one, and --profile FILE or "
    "CROP_PLANNER_PROFILE names it"
)


def read_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment. An override of None changes nothing.

    Raises:
        typer.BadParameter: a variable cannot be used; the error names each.
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


def read_profile(path: Path | None, settings: Settings) -> Profile | None:
    """Read the named profile, else the profile of the settings, if any.

    Raises:
        InvalidProfile: the file cannot be used.
    """
    file = path or settings.profile
    return load_profile(file) if file else None


def named_or_saved(path: Path | None, config: CropConfig, settings: Settings) -> Predictions:
    """Predict by the named profile, else by the profile saved for this device.

    Raises:
        InvalidProfile: the named profile cannot be used.
    """
    profile = read_profile(path, settings)
    if profile is not None:
        return Predictions(LatencyModel(profile), "")
    from app.cli.encoder import saved_predictions  # late: torch takes seconds to import

    return saved_predictions(config, settings)


def given_latency(profile: Profile | None, plan: CropPlan) -> Latency:
    """Predict a plan's latency by the named profile alone."""
    return predict(profile, plan, NO_PROFILE)
