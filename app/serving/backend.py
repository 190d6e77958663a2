"""The real encoder behind :class:`app.serving.encoder.ServedEncoder`.

Imports torch, so it is imported late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from app.core.config import make_config
from app.core.errors import InvalidProfile, OutOfDeviceMemory
from app.core.families import Family
from app.core.plan import CropPlan
from app.core.profile import Profile, load_profile, profile_filename, save_profile
from app.encoder.device import DeviceChoice, DtypeChoice, choose_device, choose_dtype
from app.encoder.encoder import Encoder, PreparedCrops, load_encoder
from app.encoder.measure import default_repeats, measure_profile, profile_key
from app.imaging.decode import Picture
from app.serving.encoder import EncodedTokens, MeasuredPass, Staged

T = TypeVar("T")
CPU = torch.device("cpu")
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""What CUDA, the CPU's allocator and cuBLAS say where they raise a plain RuntimeError."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """How a profile is measured and where it is kept."""

    folder: Path
    crops: int | None
    repeats: int | None
    budget_s: float


class TorchEncoder:
    """An :class:`Encoder` and the profile that belongs to it."""

    def __init__(self, encoder: Encoder, options: ProfileOptions) -> None:
        self._encoder = encoder
        self._host = replace(encoder, device=CPU)  # prepares, and runs nothing
        self._options = options
        key = profile_key(encoder)
        self._file = options.folder / profile_filename(key)
        self._key = key
        self.model = key.model
        self.device = key.device
        self.dtype = key.dtype
        self.weights = key.weights

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if the plan is not one this encoder can run."""
        self._encoder.check(plan)

    def prepare(self, picture: Picture, plan: CropPlan) -> Callable[[], MeasuredPass]:
        """Put the crops on the device; what comes back runs and times one pass."""
        prepared = self._encoder.prepare(np.asarray(picture.pixels), plan)

        def run_pass() -> MeasuredPass:
            times = self._encoder.run_timed(prepared)
            return MeasuredPass(times.vision_ms, times.vit_ms, times.connector_ms)

        return run_pass

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """The crops, prepared in host memory: 0.7 MB each in bfloat16, 1.4 in float32.

        Raises:
            OutOfDeviceMemory: the host's memory ran out.
        """
        prepared = in_device_memory(lambda: self._host.prepare(np.asarray(picture.pixels), plan))
        return Staged(prepared.total_crops, prepared)

    def encode(self, batch: Sequence[Staged]) -> list[EncodedTokens]:
        """The tokens of each image of one pass, copied to the host.

        Raises:
            OutOfDeviceMemory: the pass did not fit.
        """
        return in_device_memory(lambda: self._encode([staged.crops for staged in batch]))

    def _encode(self, batch: Sequence[PreparedCrops]) -> list[EncodedTokens]:
        encoder = self._encoder
        images, _ = encoder.encode([_moved(prepared, encoder.device) for prepared in batch])
        return [EncodedTokens(image.tokens.cpu(), image.positions.cpu()) for image in images]

    @property
    def profile_counts(self) -> int:
        """How many counts of crops a complete profile has."""
        return self._options.crops or make_config(self._encoder.family).max_crops + 1

    def saved_profile(self) -> Profile | None:
        """The profile of an earlier start on this device, if it can be used."""
        if not self._file.is_file():
            return None
        try:
            profile = load_profile(self._file)
        except InvalidProfile as error:
            log.warning("measuring anew: %s", error.detail)
            return None
        return profile if profile.matches(self._key) else None

    def profile(
        self, resume: Profile | None, run: Callable[[Callable[[], Any]], Any]
    ) -> Iterator[Profile]:
        """Measure, saving after each count, so that a restart goes on where this one stopped."""
        options = self._options
        for profile in measure_profile(
            self._encoder,
            range(1, self.profile_counts + 1),
            repeats=options.repeats or default_repeats(self._encoder.device),
            budget_s=options.budget_s,
            resume=resume,
            run=run,
        ):
            try:
                save_profile(profile, options.folder)
            except OSError as error:
                log.warning("the profile cannot be kept in %s: %s", options.folder, error)
            yield profile


def _moved(prepared: PreparedCrops, device: torch.device) -> PreparedCrops:
    return PreparedCrops(
        patches=prepared.patches.to(device),
        pool_index=prepared.pool_index.to(device),
        padding_state=prepared.padding_state.to(device),
        positions=prepared.positions.to(device),
    )


def in_device_memory(work: Callable[[], T]) -> T:
    """What ``work`` returns.

    Raises:
        OutOfDeviceMemory: in place of what torch raises where memory ran out.
    """
    try:
        return work()
    except RuntimeError as error:
        reason = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            sign in reason for sign in OUT_OF_MEMORY
        ):
            raise
    # Only here, where torch's own error is gone: its frames hold the memory that is to be freed.
    raise OutOfDeviceMemory(f"the device's memory ran out: {reason}")


def load_torch_encoder(
    family: Family,
    *,
    checkpoint: Path | None,
    device: DeviceChoice,
    dtype: DtypeChoice,
    seed: int,
    profile: ProfileOptions,
) -> TorchEncoder:
    """Load the encoder a service or the command line is configured for."""
    on = choose_device(device)
    encoder = load_encoder(
        family, checkpoint=checkpoint, device=on, dtype=choose_dtype(dtype, on), seed=seed
    )
    return TorchEncoder(encoder, profile)
