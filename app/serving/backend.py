"""The real encoder behind :class:`app.serving.encoder.ServedEncoder`.

Imports torch, so it is imported late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.core.config import make_config
from app.core.errors import InvalidProfile
from app.core.families import Family
from app.core.plan import CropPlan
from app.core.profile import Profile
from app.core.profile_file import load_profile, profile_filename, save_profile
from app.encoder.device import DeviceChoice, DtypeChoice, choose_device, choose_dtype
from app.encoder.encoder import Encoder
from app.encoder.encoder import Staged as StagedCrops
from app.encoder.loading import load_encoder
from app.encoder.measure import measure_profile
from app.encoder.memory import in_device_memory
from app.encoder.recording import profile_key
from app.encoder.runtimes.choose import RuntimeChoice
from app.encoder.threads import use_fastest_threads
from app.imaging.decode import Picture
from app.serving.encoder import EncodedTokens, MeasuredPass, Staged

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
        self._options = options
        key = profile_key(encoder)
        self._file = options.folder / profile_filename(key)
        self._key = key
        self.model = key.model
        self.device = key.device
        self.dtype = key.dtype
        self.runtime = key.runtime
        self.weights = key.weights

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if the plan is not one this encoder can run."""
        self._encoder.check(plan)

    def prepare(self, picture: Picture, plan: CropPlan) -> Callable[[], MeasuredPass]:
        """Put the crops on the device; what comes back runs and times one pass."""
        self._encoder.check_memory(plan.total_crops)
        pixels = np.asarray(picture.pixels)
        prepared = in_device_memory(lambda: self._encoder.prepare(pixels, plan))

        def run_pass() -> MeasuredPass:
            times = in_device_memory(lambda: self._encoder.run_timed(prepared))
            return MeasuredPass(times.vision_ms, times.vit_ms, times.connector_ms)

        return run_pass

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """All that can be done beside the device, and may be done in any thread.

        Raises:
            OutOfDeviceMemory: the host's memory ran out.
        """
        staged = in_device_memory(lambda: self._encoder.stage(np.asarray(picture.pixels), plan))
        return Staged(staged.total_crops, staged)

    def encode(self, batch: Sequence[Staged]) -> list[EncodedTokens]:
        """The tokens of each image of one pass, copied to the host.

        Raises:
            OutOfDeviceMemory: the pass would not fit, or turned out not to.
        """
        return in_device_memory(lambda: self._encode([staged.crops for staged in batch]))

    def _encode(self, batch: Sequence[StagedCrops]) -> list[EncodedTokens]:
        encoder = self._encoder
        encoder.check_memory(sum(crops.total_crops for crops in batch))
        images, _ = encoder.encode([encoder.upload(crops) for crops in batch])
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
            options.repeats,
            budget_s=options.budget_s,
            resume=resume,
            run=run,
        ):
            try:
                save_profile(profile, options.folder)
            except OSError as error:
                log.warning("the profile cannot be kept in %s: %s", options.folder, error)
            yield profile


def load_torch_encoder(
    family: Family,
    *,
    checkpoint: Path | None,
    device: DeviceChoice,
    dtype: DtypeChoice,
    runtime: RuntimeChoice,
    threads: int | None,
    seed: int,
    profile: ProfileOptions,
) -> TorchEncoder:
    """Load the encoder a service or the command line is configured for."""
    on = choose_device(device)
    computed_in = choose_dtype(dtype, on)
    if on.type == "cpu":
        use_fastest_threads(computed_in, threads)
    encoder = load_encoder(
        family, checkpoint=checkpoint, device=on, dtype=computed_in, runtime=runtime, seed=seed
    )
    log.info(
        "runtime %s, %d threads, against plain float32: %s",
        encoder.runtime.name,
        torch.get_num_threads(),
        encoder.fidelity,
    )
    return TorchEncoder(encoder, profile)
