"""Launch one pass over several images, with the copies over the bus beside the computing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

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


@dataclass(frozen=True, slots=True, eq=False)
class Launched:
    """A pass that may still be under way. It must be kept until its images are had.

    ``tokens`` [N, L] are those of all images, on the host or on their way there, and ``positions``
    those of each image's own prompt.
    """

    tokens: Tensor | Download
    positions: tuple[Tensor, ...]

    def is_done(self) -> bool:
        """Tell whether the tokens are on the host."""
        return isinstance(self.tokens, Tensor) or self.tokens.is_done()

    def wait(self) -> None:
        """Return once they are; from any thread."""
        if isinstance(self.tokens, Download):
            self.tokens.wait()

    def images(self) -> list[VisionTokens]:
        """The tokens of each image, on the host. Waits if it must."""
        tokens = self.tokens if isinstance(self.tokens, Tensor) else self.tokens.wait()
        parts = torch.split(tokens, [len(positions) for positions in self.positions])
        return [VisionTokens(*one) for one in zip(parts, self.positions, strict=True)]


@torch.inference_mode()
def launch(encoder: Encoder, batch: Sequence[Staged]) -> Launched:
    """Begin one pass over several images, whose tokens go to the host.

    On a CPU it is over on return. On a GPU the host waits for nothing, but for an image that is
    resized on the CPU and the first of its tiling. An earlier pass may still be under way: all that
    computes is in one stream, so this one's images are cut into the runtime's input when that one's
    have been read.

    Raises:
        ValueError: no images.
    """
    on_host = [image for image in batch if isinstance(image, HostImage)]
    if len(on_host) < len(batch):
        prepared = [encoder.upload(image) for image in batch]
        tokens = encoder.run(join(prepared)).tokens
        return Launched(
            tokens if encoder.device.type == "cpu" else download(tokens),
            tuple(image.positions for image in prepared),
        )
    crops = _cut_all(encoder, on_host)
    features = encoder.runtime.encode_patches(crops.patches)
    wait_for_downloads(encoder.device)  # a runtime may write its tokens where the last ones lie
    tokens = encoder.runtime.connect(features, crops.pool_index, crops.padding_state)
    positions = tuple(_positions(encoder, image) for image in on_host)
    return Launched(download(tokens), positions)


def _cut_all(encoder: Encoder, images: Sequence[HostImage]) -> PreparedCrops:
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
    return PreparedCrops(
        patches=patches,
        pool_index=torch.cat(windows) if len(windows) > 1 else windows[0],
        padding_state=(torch.cat(states) if len(states) > 1 else states[0]).long(),
        positions=torch.cat([_positions(encoder, image) for image in images]),
    )


def _positions(encoder: Encoder, image: HostImage) -> Tensor:
    return token_layout(image.plan.grid, image.plan.config, encoder.device)[1]


@dataclass(frozen=True, slots=True, eq=False)
class CopyStreams:
    """One stream for each way: a copy to the host waits for a pass, the next image does not."""

    up: torch.cuda.Stream
    down: torch.cuda.Stream


@lru_cache(maxsize=8)
def copy_streams(device: torch.device) -> CopyStreams:
    """The two streams of a GPU. They are shared: calls come from one thread at a time."""
    up = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch
    down = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch
    return CopyStreams(up, down)


def upload(memory: Tensor, device: torch.device) -> Tensor:
    """Copy pinned memory to the device while its current stream works; that then waits for it."""
    streams, current = copy_streams(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(streams.up):
        copy = memory.to(device, non_blocking=True)
    current.wait_stream(streams.up)
    copy.record_stream(current)  # also where the pass fails, and nobody keeps the copy
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class Download:
    """A tensor on its way to the host. It must be kept until it is there."""

    host: Tensor
    source: Tensor
    done: torch.cuda.Event

    def is_done(self) -> bool:
        """Tell whether the tensor is there."""
        return bool(self.done.query())  # type: ignore[no-untyped-call]  # torch

    def wait(self) -> Tensor:
        """Wait without using the CPU, from any thread; the tensor in pinned memory."""
        self.done.synchronize()
        return self.host


def download(source: Tensor) -> Download:
    """Copy a result of the current stream to pinned memory, beside what follows it there."""
    down = copy_streams(source.device).down
    host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    down.wait_stream(torch.cuda.current_stream(source.device))
    with torch.cuda.stream(down):
        host.copy_(source, non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch
    done.record(down)
    return Download(host, source, done)


def wait_for_downloads(device: torch.device) -> None:
    """Let what follows in the current stream begin only once earlier results are copied."""
    torch.cuda.current_stream(device).wait_stream(copy_streams(device).down)
