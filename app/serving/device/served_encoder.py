"""Run the encoder for the service. The module imports torch, so import the module late."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch

from app.core.errors import InvalidProfile
from app.core.latency.profile import Profile
from app.core.latency.profile_file import profile_filename
from app.core.latency.status import MeasurementRequest
from app.core.plan.config import make_config
from app.core.plan.families import Family
from app.core.plan.plan import CropPlan
from app.core.plan.work import patch_values, weights_bytes
from app.encoder.device import DeviceChoice, DtypeChoice, RuntimeChoice
from app.encoder.device.device import dtype_named
from app.encoder.device.memory import check_room, give_back, on_device
from app.encoder.encoder import Encoder, PreparedCrops, Staged, StageTimes
from app.encoder.launching import Launched, launch
from app.encoder.loading import load_encoder
from app.encoder.measuring.measure import ProfileWish, measure_profile
from app.encoder.measuring.pacing import Hooks
from app.encoder.measuring.record import profile_key
from app.encoder.measuring.series import SCOPES
from app.imaging.read.decode import Picture
from app.profiles import load_profile, save_profile

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """Configure the measurement of a profile, and the folder of its file."""

    folder: Path
    crops: int | None
    repeats: int | None
    budget_s: float


class ServedEncoder:
    """Run an :class:`Encoder` for the service.

    Calls on the device come from the worker's thread. Every call on the device may raise
    DeviceLost: the encoder is then unusable for good.

    Args:
        load: loads the same weights in another dtype, given by name.

    Attributes:
        model: the family's name.
        device: the device's own name.
        dtype: the name of the dtype of the computation.
        runtime: the name of the runtime.
        weights: ``random`` or ``checkpoint``.
        note: explains on /readyz a fallback to another dtype than the fastest; None without one.
    """

    def __init__(
        self, encoder: Encoder, options: ProfileOptions, load: Callable[[str], Encoder]
    ) -> None:
        self._encoder = encoder
        self._options = options
        self._load = load
        key = profile_key(encoder)
        self._file = options.folder / profile_filename(key)
        self._key = key
        self.model = key.model
        self.device = key.device
        self.dtype = key.dtype
        self.runtime = key.runtime
        self.weights = key.weights
        self.note = encoder.note

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch for a plan of another model or crop side."""
        self._encoder.check(plan)

    def prepare(
        self, picture: Picture, plan: CropPlan
    ) -> tuple[Callable[[], StageTimes], float | None]:
        """Put the crops on the device, and wait for their arrival.

        Returns:
            A function to run and time one pass over the crops, and the ms of their copy over the
            bus; None on a device without a bus.

        Raises:
            OutOfDeviceMemory: the crops do not fit.
        """
        pixels = np.asarray(picture.pixels)

        def prepare() -> tuple[PreparedCrops, float | None]:
            self._encoder.check_memory(plan.total_crops, [plan])
            return self._encoder.prepare_timed(pixels, plan)

        prepared, transfer_ms = self._on_device(prepare)
        run_pass = partial(self._encoder.run_timed, prepared)
        return partial(self._on_device, run_pass), transfer_ms

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """Prepare the crops as far as possible without the device, in any thread.

        Raises:
            OutOfDeviceMemory: the host's memory ran out.
            DeviceLost: the device gives no pinned memory.
        """
        return self._on_device(lambda: self._encoder.stage(np.asarray(picture.pixels), plan))

    def launch(self, batch: Sequence[Staged]) -> Launched:
        """Start one pass over staged images. Its results are their tokens on the host, in order.

        A second pass may be launched before the end of the first, a third may not.

        Raises:
            OutOfDeviceMemory: the pass did not fit; the encoder is still usable.
            DeviceLost: the pass's result may raise this too.
        """
        return launch(self._encoder, batch)

    def _on_device(self, work: Callable[[], T], /) -> T:
        return on_device(self._encoder.device, work)

    @property
    def profile_counts(self) -> int:
        """Return the most total crops of a complete profile; its counts begin at 1."""
        return self._options.crops or make_config(self._encoder.family).max_crops + 1

    def saved_profile(self) -> Profile | None:
        """Load the profile of an earlier start under the same conditions; None without one."""
        if not self._file.is_file():
            return None
        try:
            profile = load_profile(self._file)
        except InvalidProfile as error:
            log.warning("measuring anew: %s", error.detail)
            return None
        return profile if profile.key == self._key else None

    def save_profile(self, profile: Profile) -> None:
        """Save a profile for the next start; a failure goes to the log."""
        folder = self._options.folder
        try:
            save_profile(profile, folder)
        except OSError as error:
            log.warning("the profile cannot be saved in %s: %s", folder, error)

    def profile(
        self, request: MeasurementRequest, hooks: Hooks, resume: Profile | None
    ) -> Iterator[Profile]:
        """Measure a profile in this encoder's dtype, in any thread; yield the growing profile.

        Args:
            resume: an earlier profile; its full entries are not measured again.

        Raises:
            OutOfDeviceMemory: the inputs of all counts together do not fit.
            DeviceLost: the device takes no call any more; ``hooks.run`` may raise this too.
        """
        encoder, options = self._encoder, self._options
        needed = self._input_bytes(request.counts)
        has_room = partial(check_room, encoder.device, needed, "the inputs of all counts")
        hooks.run(partial(self._on_device, has_room))
        wish = ProfileWish(
            request.counts,
            request.repeats or options.repeats,
            budget_s=options.budget_s,
            scopes=SCOPES if request.full else None,
        )
        return measure_profile(encoder, wish, hooks, resume)

    def _input_bytes(self, counts: Sequence[int]) -> int:
        """Estimate the bytes of the patches and of the images around them."""
        family = self._encoder.family
        patches = (family.crop_size_px // family.patch_size_px) ** 2
        return sum(counts) * patches * patch_values(family) * (self._encoder.dtype.itemsize + 1)

    def in_dtype(self, dtype: str) -> ServedEncoder:
        """Load a second encoder of the same weights in another dtype.

        Call :meth:`give_memory_back` after the last reference to the second encoder is gone.

        Raises:
            OutOfDeviceMemory: the second encoder would not fit beside this one.
            CheckpointError, EncoderUnavailable: see :func:`app.encoder.loading.load_encoder`.
        """
        encoder = self._encoder

        def load() -> Encoder:
            needed = weights_bytes(encoder.family, dtype_named(dtype).itemsize)
            check_room(encoder.device, needed, f"a second encoder in {dtype}")
            return self._load(dtype)

        return ServedEncoder(self._on_device(load), self._options, self._load)

    def give_memory_back(self) -> None:
        """Return the memory of an unreferenced second encoder to the system."""
        give_back()


def load_served_encoder(
    family: Family,
    *,
    checkpoint: Path | None,
    device: DeviceChoice,
    dtype: DtypeChoice,
    runtime: RuntimeChoice,
    threads: int | None,
    seed: int,
    profile: ProfileOptions,
) -> ServedEncoder:
    """Load the configured encoder of a service or of the command line."""
    load = partial(
        load_encoder, family, checkpoint=checkpoint, device=device, runtime=runtime, seed=seed
    )

    def load_again(in_dtype: str) -> Encoder:
        return load(dtype=cast(DtypeChoice, in_dtype), threads=torch.get_num_threads())

    encoder = load(dtype=dtype, threads=threads)
    log.info(
        "runtime %s, %d threads, against plain float32: %s",
        encoder.runtime.name,
        torch.get_num_threads(),
        encoder.fidelity,
    )
    return ServedEncoder(encoder, profile, load_again)
