"""Copies over the bus: which way they go, whether from or to pinned memory, and who waits."""

from __future__ import annotations

import torch
from torch import Tensor

from .state import STATS
from .streams import capturing, current_stream, forbid_in_capture, hidden_wait, order
from .tensors import DeviceTensor
from .transfers import begin, host_touches, is_pinned, pin


class Copy:
    """A copy that may cross the bus."""

    def __init__(self, name: str, args, kwargs) -> None:
        self.args, self.kwargs = args, kwargs
        if name == "_to_copy":
            self.into, self.source = None, args[0]
            into_device = torch.device(kwargs.get("device") or self.source.device).type == "cuda"
        else:
            self.into, self.source = args[0], args[1]
            into_device = isinstance(self.into, DeviceTensor)
        third = len(args) > 2 and args[2]
        self.non_blocking = bool(kwargs.get("non_blocking") or third)
        on_device = isinstance(self.source, DeviceTensor)
        self.leaves_device = on_device and not into_device
        self.enters_device = into_device and self.source.device.type == "cpu" and not on_device

    def check(self) -> None:
        """Count a copy to the device, and wait where CUDA would."""
        if not self.enters_device or not self.source.dim():  # a scalar goes with the launch
            return
        pinned = is_pinned(self.source)
        host_touches(self.source, "a copy to the device")
        self._count("to the device", pinned)
        if self.non_blocking and pinned:
            if capturing() is None:
                stream = current_stream()
                begin(self.source, to_host=False, stream=stream.id, tick=stream.tick + 1)
        elif capturing() is not None:
            forbid_in_capture("copy from pageable memory")
        elif not self.non_blocking:
            hidden_wait("copy to the device")

    def to_host(self, func) -> Tensor:
        """Copy to the host: now, or into pinned memory once the host has waited for it."""
        forbid_in_capture("copy to the host")
        stream = current_stream()
        order(stream, [self.source.buffer], [], str(func))
        if self.into is None:
            kwargs = {**self.kwargs, "non_blocking": False, "device": torch.device("cpu")}
            into = func(self.source.host, **kwargs)
            if self.non_blocking:
                pin(into)
        else:
            into = self.into
            host_touches(into, "another copy")
            into.copy_(self.source.host)
        self._count("to the host", is_pinned(into))
        if not self.non_blocking:
            hidden_wait("copy to the host")
        elif is_pinned(into):
            begin(into, to_host=True, stream=stream.id, tick=stream.tick)
        else:  # CUDA returns from it only when it is done
            STATS["waits: non-blocking copy to pageable memory"] += 1
        return into

    def _count(self, way: str, pinned: bool) -> None:
        kind = f"{way}, {'pinned' if pinned else 'pageable'}"
        STATS[f"copies {kind}"] += 1
        STATS[f"bytes {kind}"] += self.source.numel() * self.source.element_size()
