"""Launch one pass over several images, with the copies over the bus beside the computing.

Pinned memory is expensive to get, so torch caches it. A block is reused after the end of its last
reference and of all torch's copies from or to it (``record_event`` in aten's Copy.cu, ``free`` in
CachingHostAllocator.h). Memory of the GPU belongs to its allocation's stream. For a use on another
stream, either torch is told of the use, or the memory is held until the host has waited for the
other stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import torch
from torch import Tensor

from app.encoder.device.memory import on_device
from app.encoder.encoder import (
    Encoder,
    HostImage,
    PreparedCrops,
    Staged,
    VisionTokens,
    join,
    shifted_layout,
    token_layout,
)
from app.encoder.network.preprocess import image_to_patches
from app.encoder.runtimes.base import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Launched:
    """Hold a pass that may still run. Hold the object until :meth:`result` returns.

    Attributes:
        tokens: [N, L] on the host, the tokens of all images.
        positions: the places of the tokens in each image's own prompt.
        copied: happens at the end of the copy to ``tokens``; None on a CPU.
        source: the tokens on the device, held until then.
    """

    device: torch.device
    tokens: Tensor
    positions: tuple[Tensor, ...]
    copied: torch.cuda.Event | None = None
    source: Tensor | None = None

    def is_done(self) -> bool:
        """Return True if the tokens are on the host."""
        return self.copied is None or bool(on_device(self.device, self.copied.query))

    def wait(self) -> None:
        """Wait without use of the CPU, in any thread; :meth:`result` names the errors."""
        if self.copied is not None:
            self.copied.synchronize()

    def result(self) -> list[VisionTokens]:
        """Return the tokens of each image on the host, after a wait if necessary."""
        on_device(self.device, self.wait)
        parts = torch.split(self.tokens, [len(positions) for positions in self.positions])
        return [VisionTokens(*one) for one in zip(parts, self.positions, strict=True)]


def launch(encoder: Encoder, batch: Sequence[Staged]) -> Launched:
    """Begin one pass over several images, with their tokens copied to the host.

    On a CPU the pass is over on return. On a GPU the host waits only for an image resized on the
    CPU, and for the first image of a tiling. An earlier pass may still run: one stream computes
    both, so this pass's images enter the runtime's input after the earlier pass has read its own.

    Raises:
        OutOfDeviceMemory: the pass does not fit; the encoder is still usable.
        DeviceLost: the device takes no call any more; the pass's result may raise this too.
    """
    return on_device(encoder.device, partial(_launch, encoder, batch))


@torch.inference_mode()
def _launch(encoder: Encoder, batch: Sequence[Staged]) -> Launched:
    on_host = [image for image in batch if isinstance(image, HostImage)]
    plans = [image.plan for image in on_host]
    encoder.check_memory(sum(image.total_crops for image in batch), plans)
    prepared = [image for image in batch if isinstance(image, PreparedCrops)]
    if prepared:  # on a CPU
        tokens = encoder.run(join(prepared)).tokens
        return Launched(encoder.device, tokens, tuple(image.positions for image in prepared))
    crops = _cut_all(encoder, on_host)
    features = encoder.runtime.encode_patches(crops.patches)
    wait_for_downloads(encoder.device)  # the tokens may overwrite those of the last pass
    tokens = encoder.runtime.connect(features, crops.pool_index, crops.padding_state)
    host, copied = download(tokens)
    layouts = (token_layout(plan.grid, plan.config, encoder.device) for plan in plans)
    positions = tuple(positions for _, positions in layouts)
    return Launched(encoder.device, host, positions, copied, source=tokens)


def _cut_all(encoder: Encoder, images: Sequence[HostImage]) -> Sample:
    """Cut images into the runtime's input for one pass."""
    patches = encoder.runtime.input_for(sum(image.total_crops for image in images))
    states, windows, first = [], [], 0
    for image in images:
        copy = upload(image.memory, encoder.device)
        pixels, state = image.parts(copy)
        into = patches[first : first + image.total_crops]
        image_to_patches(pixels, image.plan, encoder.dtype, into)
        first_patch = first * patches.shape[1]
        plan = image.plan
        windows.append(shifted_layout(plan.grid, plan.config, encoder.device, first_patch))
        states.append(state)
        first += image.total_crops
    return Sample(
        patches=patches,
        pool_index=torch.cat(windows) if len(windows) > 1 else windows[0],
        padding_state=(torch.cat(states) if len(states) > 1 else states[0]).long(),
    )


@lru_cache(maxsize=16)
def copy_stream(device: torch.device, direction: Literal["up", "down"]) -> torch.cuda.Stream:
    """Return the shared stream of a GPU for copies in one direction.

    Downloads wait for a pass, and uploads do not. Calls come from one thread at a time.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch


def upload(memory: Tensor, device: torch.device) -> Tensor:
    """Copy pinned memory to the device beside its current stream, which then waits for the copy."""
    up, current = copy_stream(device, "up"), torch.cuda.current_stream(device)
    with torch.cuda.stream(up):
        copy = memory.to(device, non_blocking=True)
    current.wait_stream(up)
    copy.record_stream(current)  # needed if the pass fails, and nobody holds the copy
    return copy


def download(source: Tensor) -> tuple[Tensor, torch.cuda.Event]:
    """Copy a result of the current stream to pinned memory, beside the stream's later work.

    Returns:
        The tensor in pinned memory, and the event of the end of the copy. Hold ``source`` until
        then.
    """
    down = copy_stream(source.device, "down")
    host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    down.wait_stream(torch.cuda.current_stream(source.device))
    with torch.cuda.stream(down):
        host.copy_(source, non_blocking=True)
    copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch
    copied.record(down)
    return host, copied


def wait_for_downloads(device: torch.device) -> None:
    """Hold back the later work of the current stream until earlier results are copied."""
    torch.cuda.current_stream(device).wait_stream(copy_stream(device, "down"))
