"""Copies over the bus to and from a GPU, in pinned memory, beside what the GPU computes.

Pinned memory is expensive to get, so torch keeps it: a block is used again once it is dropped and
every copy that torch issued from or to it has ended (``record_event`` in aten's Copy.cu, ``free``
in CachingHostAllocator.h). Memory of the GPU belongs to the stream it was allocated on. Where
another stream uses it, torch is told, or it is kept until the host has waited for that stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


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


def pinned(count: int) -> Tensor:
    """Uninitialised pinned memory of so many bytes, uint8 [count]."""
    return torch.empty(count, dtype=torch.uint8, pin_memory=True)


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
