"""Turn uploads into vision tokens, and write the tokens as a safetensors file.

Images are staged in threads beside the device, and encoded in shared passes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.core.errors import DeadlineExceeded, DeviceLost
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.serving.device.worker import DeviceWorker
from app.serving.encode.batcher import Batcher
from app.serving.encode.policy import batch_limit
from app.serving.latency.encoder_service import EncoderService

if TYPE_CHECKING:
    from app.encoder.encoder import Staged, VisionTokens
    from app.encoder.launching import Launched
    from app.imaging.read.decode import Picture

MEDIA_TYPE = "application/octet-stream"
"""Model hubs serve safetensors as this type; the format has no registered one."""

LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class StagedImage:
    """Hold an image ready for a pass; times are in ms.

    Attributes:
        deadline_s: by ``time.monotonic()``.
        wait_ms: the wait for a thread to stage in.
    """

    staged: Staged
    plan: CropPlan
    deadline_s: float
    wait_ms: float
    decode_ms: float
    preprocess_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """Hold an image's tokens, their origin, and the times of all stages in ms.

    Attributes:
        queue_ms: both waits, for a thread and for the device.
        encode_ms: the time of the whole pass over ``pass_crops`` crops of this image and others; a
            profile has the latency of an image alone.
    """

    image: VisionTokens
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
    """Encode the images of several requests together.

    Args:
        encoder: the loaded encoder.
        worker: the owner of the device.
        batch_crops: the most crops of a pass over several images; None takes them from the profile.
        queue_crops: the most crops of all staged and encoding images.
        timeout_s: the longest time from an upload's end to its tokens.
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
        self._batcher = Batcher(
            worker, self._launch, limit_crops=self._limit_crops, queue_crops=queue_crops
        )

    def _launch(self, batch: Sequence[Staged]) -> Launched:
        return self._encoder.ready_encoder().launch(batch)

    def _limit_crops(self) -> int:
        return self._batch_crops or batch_limit(self._encoder.device_profile.whole_profile)

    @property
    def waiting(self) -> int:
        """Count the images waiting for the device."""
        return self._batcher.waiting

    def stage(
        self, load: Callable[[], Picture], config: CropConfig, arrived_s: float
    ) -> StagedImage:
        """Decode, plan and prepare an image in the calling thread.

        Args:
            load: decodes the image; its pixels are released after staging.
            arrived_s: ``time.monotonic()`` at the upload's end; the deadline counts from here.

        Raises:
            EncoderUnavailable: the encoder is off, loading or failed.
            EncoderMismatch: the loaded encoder cannot run the plan.
            QueueFull: the crops have no room; raised before their preparation.
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
        """Encode a staged image. Cancelling the caller drops the image from the queue.

        Raises:
            QueueFull: the crops have no room.
            DeadlineExceeded: the tokens were not ready in ``timeout_s`` after the upload.
            EncoderUnavailable: the worker died or stopped.
            OutOfDeviceMemory: the image does not fit the device's memory even alone.
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


def token_file(encoded: EncodedImage) -> bytes:
    """Write ``tokens`` [N, L] and ``positions`` int64 [N], with their origin as metadata.

    N is the number of patch tokens, and L the width of the language model. Equal tokens of equal
    images make equal bytes.
    """
    from safetensors.torch import save  # late: it imports torch

    plan, image = encoded.plan, encoded.image
    config = plan.config
    metadata = {
        "model": config.family.name,
        "weights": encoded.weights,
        "dtype": encoded.dtype,
        "device": encoded.device,
        "tiling": str(plan.grid),
        "crops": plan.grid.crops,
        "total_crops": plan.total_crops,
        "prompt_tokens": plan.tokens.prompt,
        "patch_tokens": plan.tokens.patch,
        "image_width": plan.image.width,
        "image_height": plan.image.height,
        "max_crops": config.max_crops,
        "overlap_margins": ",".join(str(margin) for margin in config.overlap_margins),
        "crop_size_px": config.crop_size_px,
    }
    return with_sorted_header(
        save(
            {"tokens": image.tokens, "positions": image.positions},
            {name: str(value) for name, value in metadata.items()},
        )
    )


def with_sorted_header(file: bytes) -> bytes:
    """Sort the header of a safetensors file; the library writes metadata in a random order.

    A file has the header's length in 8 bytes, the header as JSON, spaces up to a multiple of 8, and
    the tensors. The places of tensors count from the end of the header.
    """
    start = LENGTH_BYTES + int.from_bytes(file[:LENGTH_BYTES], "little")
    fields = json.loads(file[LENGTH_BYTES:start])
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    header = text.encode()
    header += b" " * (-len(header) % LENGTH_BYTES)
    length = len(header).to_bytes(LENGTH_BYTES, "little")
    return b"".join([length, header, memoryview(file)[start:]])
