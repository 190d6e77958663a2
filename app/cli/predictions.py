"""Predict the latencies of a command by a named or a saved profile."""

from pathlib import Path

from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.plan.config import CropConfig
from app.profiles import load_profile
from app.settings import Settings

NO_PROFILE = (
    "no profile was given: `crop-planner measure` makes one, and --profile FILE or "
    "CROP_PLANNER_PROFILE names it"
)


def named_profile(path: Path | None, settings: Settings) -> Predictions:
    """Predict by the named profile alone, else by the profile of the settings, if any.

    Raises:
        InvalidProfile: the file cannot be used.
    """
    file = path or settings.profile
    return Predictions(LatencyModel(load_profile(file)) if file else None, NO_PROFILE)


def named_or_saved(path: Path | None, config: CropConfig, settings: Settings) -> Predictions:
    """Predict by the named profile, else by the profile saved for this device.

    Raises:
        InvalidProfile: the named profile cannot be used.
    """
    named = named_profile(path, settings)
    if named.model is not None:
        return named
    from app.cli.encoder import saved_predictions  # late: torch takes seconds to import

    return saved_predictions(config, settings)
