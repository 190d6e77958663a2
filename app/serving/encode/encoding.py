"""From an upload to its vision tokens: staged beside the device, encoded in a pass with others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.core.errors import DeadlineExceeded, DeviceLost
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.serving.device.protocol import EncodedTokens, Pending, Staged
from app.serving.device.worker import DeviceWorker
from app.serving.encode.batcher import Batcher
from app.serving.encode.policy import batch_limit
from app.serving.latency.encoder_service import EncoderService

if TYPE_CHECKING:
    from app.imaging.read.decode import Picture


@dataclass(frozen=True, slots=True, eq=False)
class StagedImage:
    """An image ready for a pass; times in ms, ``deadline_s`` by ``time.monotonic()``.

    ``wait_ms`` is how long it waited for a thread to be staged in.
    """

    staged: Staged
    plan: CropPlan
    deadline_s: float
    wait_ms: float
    decode_ms: float
    preprocess_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image's tokens, where they come from, and what each stage took in ms.

    ``queue_ms`` is both waits, for a thread and for the device. ``encode_ms`` is the time of the
    whole pass over ``pass_crops`` crops, of this image and of others. It is no latency of this
    image alone; that is what a profile has.
    """

    image: EncodedTokens
    plan: CropPlan
    device: str
    dtype: str
    weights: str
    decode_ms: float
    preprocess_ms: float
    queue_ms: float
    encode_ms: float
    pass_crops: int


class Encoding:
    """Encodes images of several requests together.

    Args:
        encoder: what is loaded.
        worker: owns the device.
        batch_crops: most crops of a pass over several images; None: by the profile.
        queue_crops: most crops of all images that are staged or in their pass.
        timeout_s: time an image may take from its upload's end to its tokens.
    """

    def __init__(
        self,
        encoder: EncoderService,
        worker: DeviceWorker,
        *,
        batch_crops: int | None,
        queue_crops: int,
        timeout_s: float,
    ) -> None:
        self._encoder = encoder
        self._worker = worker
        self._batch_crops = batch_crops
        self._timeout_s = timeout_s
        self._batcher: Batcher[Staged, EncodedTokens] = Batcher(
            worker, self._launch, limit_crops=self._limit_crops, queue_crops=queue_crops
        )

    def _launch(self, batch: Sequence[Staged]) -> Pending[EncodedTokens]:
        return self._encoder.ready_encoder().launch(batch)

    def _limit_crops(self) -> int:
        return self._batch_crops or batch_limit(self._encoder.profiling.whole_profile)

    @property
    def waiting(self) -> int:
        """Images that wait for the device."""
        return self._batcher.waiting

    def stage(
        self, load: Callable[[], Picture], config: CropConfig, arrived_s: float
    ) -> StagedImage:
        """Decode, plan and prepare an image, in the calling thread, while the device works.

        Args:
            load: decodes the image, which is kept no longer than it takes to stage it.
            arrived_s: ``time.monotonic()`` when the upload was there; its deadline counts from it.

        Raises:
            EncoderUnavailable, EncoderMismatch: as :meth:`EncoderService.measure` says.
            QueueFull: its crops have no room; found out before they are prepared.
        """
        encoder = self._encoder.ready_encoder()
        began = time.monotonic()
        picture = load()
        decoded = time.monotonic()
        plan = make_plan(picture.size, config)
        encoder.check(plan)
        self._batcher.check_room(plan.total_crops)
        try:
            staged = encoder.stage(picture, plan)
        except DeviceLost as error:
            raise self._worker.end(error) from None
        return StagedImage(
            staged=staged,
            plan=plan,
            deadline_s=arrived_s + self._timeout_s,
            wait_ms=(began - arrived_s) * 1e3,
            decode_ms=(decoded - began) * 1e3,
            preprocess_ms=(time.monotonic() - decoded) * 1e3,
        )

    async def encode(self, image: StagedImage) -> EncodedImage:
        """The tokens of a staged image. If the caller is cancelled, it is dropped from the queue.

        Raises:
            QueueFull: its crops have no room.
            DeadlineExceeded: not done in ``timeout_s`` after the upload.
            EncoderUnavailable: the worker died or stopped.
            OutOfDeviceMemory: it does not fit the device's memory even alone.
        """
        left_s = image.deadline_s - time.monotonic()
        encoded = self._batcher.submit(image.staged, deadline_s=image.deadline_s)
        try:
            async with asyncio.timeout(left_s):
                batched = await asyncio.wrap_future(encoded)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the image was not encoded in {self._timeout_s:g} s", limit=self._timeout_s
            ) from None
        encoder = self._encoder.ready_encoder()
        return EncodedImage(
            image=batched.result,
            plan=image.plan,
            device=encoder.device,
            dtype=encoder.dtype,
            weights=encoder.weights,
            decode_ms=image.decode_ms,
            preprocess_ms=image.preprocess_ms,
            queue_ms=image.wait_ms + batched.queue_ms,
            encode_ms=batched.pass_ms,
            pass_crops=batched.pass_crops,
        )
