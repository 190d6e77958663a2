"""Encode images: prepare crops on the host and the device, and turn them into vision tokens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from app.core.errors import EncoderMismatch
from app.core.latency.profile import Weights
from app.core.plan.config import CropConfig
from app.core.plan.families import Family
from app.core.plan.geometry import Grid
from app.core.plan.plan import CropPlan
from app.core.plan.tokens import TokenKind, pooling_windows, token_sequence
from app.core.plan.work import cutting_bytes, pass_bytes
from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.device.memory import check_fits
from app.encoder.network.preprocess import (
    MaskOrder,
    Pixels,
    check_pixels,
    content_share,
    image_to_patches,
    padding_state,
    patches_shape,
)
from app.encoder.runtimes.base import Runtime, Sample
from app.encoder.runtimes.fidelity import StageAgreement


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCrops(Sample):
    """Hold the inputs of one pass, on the encoder's device.

    The patches are in the encoder's dtype, global crop first. ``positions`` int64 [N] lies on the
    host: the place of each token in the image's prompt tokens.
    """

    positions: Tensor

    @property
    def total_crops(self) -> int:
        return len(self.patches)


@dataclass(frozen=True, slots=True, eq=False)
class HostImage:
    """Hold an image on the host until its turn on another device.

    ``memory`` is pinned, uint8: the pixels, then the padding state, for one copy over the bus.
    """

    memory: Tensor
    plan: CropPlan

    @classmethod
    def of(cls, pixels: Pixels, plan: CropPlan, state: Tensor) -> HostImage:
        """Copy the pixels [H, W, 3] of the plan's image, and the state [C, P] of its patches."""
        check_pixels(pixels, plan)
        made = cls(pinned(3 * plan.image.width * plan.image.height + state.numel()), plan)
        array = pixels.numpy() if isinstance(pixels, Tensor) else pixels
        own_pixels, own_state = made.parts(made.memory)
        np.copyto(own_pixels.numpy(), array)  # takes read-only arrays, too
        own_state.copy_(state)
        return made

    def parts(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Split a copy of ``memory`` into pixels [H, W, 3] and padding state [C, P], both uint8."""
        image, (crops, patches, _) = self.plan.image, patches_shape(self.plan)
        pixels = 3 * image.width * image.height
        state = memory[pixels:].view(crops, patches)
        return memory[:pixels].view(image.height, image.width, 3), state

    @property
    def total_crops(self) -> int:
        return self.plan.total_crops


Staged = PreparedCrops | HostImage
"""An image after all the work of the CPU, ready for the device."""


def pinned(count: int) -> Tensor:
    """Allocate pinned memory of ``count`` bytes, uint8 [count], uninitialised."""
    return torch.empty(count, dtype=torch.uint8, pin_memory=True)


@dataclass(frozen=True, slots=True, eq=False)
class VisionTokens:
    """Hold ``tokens`` [N, L] in prompt order, and ``positions`` int64 [N] in the prompt tokens."""

    tokens: Tensor
    positions: Tensor


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Hold the times of one pass in ms, from crops on the device to tokens, and of its two parts.

    ``cpu_ms`` is the CPU time of the whole process during the pass, over all threads.
    """

    vit_ms: float
    connector_ms: float
    vision_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Run a runtime on a device. :func:`app.encoder.loading.load_encoder` makes an encoder.

    Calls come in any order, one at a time; only :meth:`stage` may come from any thread.

    Attributes:
        fidelity: the runtime's agreement with the plain float32 network; None if not compared.
        note: tells the operator of a dtype other than the fastest; None without such a change.
    """

    family: Family
    runtime: Runtime
    device: torch.device
    dtype: torch.dtype
    weights: Weights
    mask_order: MaskOrder = "released"
    fidelity: StageAgreement | None = None
    note: str | None = None

    def stage(self, pixels: Pixels, plan: CropPlan) -> Staged:
        """Do all the work on ``pixels``, uint8 RGB [H, W, 3], that needs no device.

        For a CPU the result is the prepared crops. For another device the result is a copy in
        pinned memory: the pixels cross the bus once, as bytes, and the device cuts the crops.

        Raises:
            EncoderMismatch: the plan is for another family or crop side.
            ValueError: the pixels are not of the plan's image.
        """
        self.check(plan)
        state = padding_state(content_share(plan), self.mask_order)
        if self.device.type == "cpu":
            return cut_crops(pixels, state, plan, self.dtype)
        return HostImage.of(pixels, plan, state)

    def upload(self, staged: Staged) -> PreparedCrops:
        """Put the crops on the device; the copy and the cut may still run on return."""
        if isinstance(staged, PreparedCrops):
            return staged
        return self._cut(staged, staged.memory.to(self.device, non_blocking=True))

    def _cut(self, staged: HostImage, memory: Tensor) -> PreparedCrops:
        pixels, state = staged.parts(memory)
        return cut_crops(pixels, state.long(), staged.plan, self.dtype)

    def prepare(self, pixels: Pixels, plan: CropPlan) -> PreparedCrops:
        """Call :meth:`stage`, then :meth:`upload`."""
        return self.upload(self.stage(pixels, plan))

    def prepare_timed(self, pixels: Pixels, plan: CropPlan) -> tuple[PreparedCrops, float | None]:
        """Call :meth:`prepare` and wait for the crops.

        Returns:
            The crops, and the ms of the copy over the bus by the device's clock, None on a CPU.
        """
        staged = self.stage(pixels, plan)
        if isinstance(staged, PreparedCrops):
            return staged, None
        before = mark(self.device)
        copy = staged.memory.to(self.device, non_blocking=True)
        copied = mark(self.device)
        prepared = self._cut(staged, copy)
        synchronise(self.device)
        return prepared, elapsed_ms(before, copied)

    def check(self, plan: CropPlan) -> None:
        """Refuse a plan for another encoder. Margins and max_crops are free.

        Raises:
            EncoderMismatch: the plan is for another family or crop side.
        """
        config = plan.config
        if config.family != self.family:
            raise EncoderMismatch(
                f"the plan is for {config.family.name}, the loaded encoder is {self.family.name}",
                parameter="model",
                actual=config.family.name,
                loaded=self.family.name,
            )
        if not config.is_native:
            raise EncoderMismatch(
                f"the encoder takes crops of {self.family.crop_size_px} px, "
                f"the plan has crops of {config.crop_size_px} px",
                parameter="crop_size_px",
                actual=config.crop_size_px,
                loaded=self.family.crop_size_px,
            )

    def check_memory(self, total_crops: int, images: Sequence[CropPlan] = ()) -> None:
        """Refuse a pass over ``total_crops`` crops if the free memory is too small.

        Args:
            images: the plans of the images with crops still to be cut on the device.

        Raises:
            OutOfDeviceMemory: the pass would not fit now.
        """
        needed = partial(pass_bytes, self.family, bytes_per_value=self.dtype.itemsize)
        cutting = cutting_bytes(images)
        check_fits(self.device, total_crops, lambda crops: needed(crops) + cutting)

    def run(self, prepared: PreparedCrops) -> VisionTokens:
        """Encode one image. On CUDA the pass may still run on return."""
        with torch.inference_mode():
            features = self.runtime.encode_patches(prepared.patches)
            tokens = self.runtime.connect(features, prepared.pool_index, prepared.padding_state)
        return VisionTokens(tokens, prepared.positions)

    @torch.inference_mode()
    def run_timed(self, prepared: PreparedCrops) -> StageTimes:
        """Time one pass, and wait for its tokens."""
        synchronise(self.device)  # so that no earlier work is timed
        cpu = time.process_time()
        start = mark(self.device)
        features = self.runtime.encode_patches(prepared.patches)
        encoded = mark(self.device)
        self.runtime.connect(features, prepared.pool_index, prepared.padding_state)
        ready = mark(self.device)
        synchronise(self.device)
        return StageTimes(
            vit_ms=elapsed_ms(start, encoded),
            connector_ms=elapsed_ms(encoded, ready),
            vision_ms=elapsed_ms(start, ready),
            cpu_ms=(time.process_time() - cpu) * 1e3,
        )


def cut_crops(
    pixels: Pixels, padding_state: Tensor, plan: CropPlan, dtype: torch.dtype
) -> PreparedCrops:
    """Cut ``pixels``, uint8 [H, W, 3], into the crops of a pass, on the device of the pixels.

    ``padding_state`` int64 [C, P] lies on the same device.
    """
    patches = image_to_patches(pixels, plan, dtype)
    pool_index, positions = token_layout(plan.grid, plan.config, patches.device)
    return PreparedCrops(patches, pool_index, padding_state, positions)


@lru_cache(maxsize=256)
def token_layout(grid: Grid, config: CropConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cache ``pool_index`` [N, W] on ``device`` and ``positions`` [N] on the host, both int64.

    Callers share the tensors and never write to them.
    """
    sequence = token_sequence(grid, config)
    positions = [at for at, kind in enumerate(sequence) if kind is TokenKind.PATCH]
    index = torch.tensor(pooling_windows(grid, config))
    if device.type == "cuda":  # a copy from pageable memory would wait for the running pass
        index = index.pin_memory().to(device, non_blocking=True)
    return index, torch.tensor(positions)


@lru_cache(maxsize=512)
def shifted_layout(
    grid: Grid, config: CropConfig, device: torch.device, first_patch: int
) -> Tensor:
    """Cache the ``pool_index`` of an image with its first patch at ``first_patch`` of a pass.

    An entry takes 40 kB. Images of a pass have few tilings, so entries are used again.
    """
    return shifted(token_layout(grid, config, device)[0], first_patch)


def shifted(pool_index: Tensor, patches: int) -> Tensor:
    """Move windows by ``patches`` patches; -1 stays for a missing patch."""
    return torch.where(pool_index >= 0, pool_index + patches, pool_index) if patches else pool_index


def join(batch: Sequence[PreparedCrops]) -> PreparedCrops:
    """Join images into one pass: their crops, and their tokens, one image after the other.

    ``positions`` stay the places in each image's own prompt.
    """
    if len(batch) == 1:
        return batch[0]
    pool_index, first_patch = [], 0
    for prepared in batch:
        pool_index.append(shifted(prepared.pool_index, first_patch))
        first_patch += prepared.padding_state.numel()
    return PreparedCrops(
        patches=torch.cat([prepared.patches for prepared in batch]),
        pool_index=torch.cat(pool_index),
        padding_state=torch.cat([prepared.padding_state for prepared in batch]),
        positions=torch.cat([prepared.positions for prepared in batch]),
    )
