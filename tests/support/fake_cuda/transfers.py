"""Pinned memory, and copies from and to it that are under way.

A copy to the host delivers only when the host has waited for it. Until then its target holds
garbage, and an operation on the CPU, ``numpy``, ``tolist`` or ``data_ptr`` of the target is told;
who reads through a pointer or an array taken before is not told, but finds the garbage. A copy to
the device must find its source unchanged when the host waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .state import LOCK, STATS, check_works, problem

HOST: dict[int, int] = {}
"""Up to which tick of each stream the host has waited."""


def host_knows(stream: int, tick: int) -> bool:
    return tick <= HOST.get(stream, 0)


def pin(host: Tensor) -> Tensor:
    """Call a tensor's memory pinned. Torch keeps a storage's attributes as long as its memory."""
    check_works()
    STATS["pinned allocations"] += 1
    host.untyped_storage().pinned = True
    return host


def is_pinned(host: Tensor) -> bool:
    return getattr(host.untyped_storage(), "pinned", False)


@dataclass(frozen=True, eq=False)
class Transfer:
    """A copy under way; ``value`` is what it read, or what the host must still find."""

    host: Tensor
    value: Tensor
    to_host: bool
    stream: int
    tick: int

    def end(self) -> None:
        if self.to_host:
            self.host.copy_(self.value)
        elif not torch.equal(_bytes(self.host), _bytes(self.value)):
            problem("pinned memory was overwritten while the device still copied from it")


UNDER_WAY: list[Transfer] = []


def begin(host: Tensor, *, to_host: bool, stream: int, tick: int) -> None:
    """Put a copy under way that has just been made for real."""
    with torch.inference_mode(), LOCK:
        transfer = Transfer(host, host.clone(), to_host, stream, tick)
        if to_host:
            fill_with_garbage(host)
        UNDER_WAY.append(transfer)


def host_waited(clock: dict[int, int]) -> None:
    """The host has waited for these ticks of these streams: what was under way by then is there."""
    with torch.inference_mode(), LOCK:
        for stream, tick in clock.items():
            HOST[stream] = max(HOST.get(stream, 0), tick)
        ended = [one for one in UNDER_WAY if host_knows(one.stream, one.tick)]
        UNDER_WAY[:] = [one for one in UNDER_WAY if one not in ended]
        for one in ended:
            one.end()


def host_touches(tensor: Tensor, what: str) -> None:
    """Tell where the host touches the target of a copy that it has not waited for."""
    if not UNDER_WAY or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return
    memory = tensor.untyped_storage()._cdata
    with LOCK:
        if any(one.to_host and one.host.untyped_storage()._cdata == memory for one in UNDER_WAY):
            problem(f"{what} touches the target of a copy to the host, without waiting for it")


def fill_with_garbage(tensor: Tensor) -> None:
    if tensor.is_floating_point():
        tensor.fill_(float("nan"))
    elif tensor.dtype != torch.bool:
        tensor.fill_(torch.iinfo(tensor.dtype).max)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)
