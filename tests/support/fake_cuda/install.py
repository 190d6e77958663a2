"""Replace torch's CUDA by the make-believe device, for the whole process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import memory, streams
from .graphs import CUDAGraph, is_capturing
from .memory import Pool
from .operations import GENERATORS, Mode
from .state import CARD, Properties
from .streams import DEFAULT, Event, Stream
from .tensors import DeviceTensor
from .transfers import host_touches, is_pinned, pin


class Generator(torch._C.Generator):
    def __new__(cls, device="cpu"):
        made = super().__new__(cls, device="cpu")
        if torch.device(device).type == "cuda":
            GENERATORS.add(made._cdata)
        return made


CUDA: dict[str, Any] = {
    "_lazy_init": lambda: None,
    "_exchange_device": lambda index: 0,
    "_maybe_exchange_device": lambda index: 0,
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "get_device_name": lambda device=None: Properties.name,
    "get_device_properties": lambda device=None: Properties,
    "get_device_capability": lambda device=None: CARD.capability,
    "is_bf16_supported": lambda including_emulation=True: (
        including_emulation or CARD.capability >= (8, 0)
    ),
    "Stream": Stream,
    "Event": Event,
    "CUDAGraph": CUDAGraph,
    "graph_pool_handle": Pool,
    "is_current_stream_capturing": is_capturing,
    "current_stream": streams.current_stream,
    "default_stream": lambda device=None: DEFAULT,
    "set_stream": streams.set_stream,
    "synchronize": streams.synchronize,
    "set_sync_debug_mode": lambda mode: streams.sync_debug_mode.__setitem__(0, mode),
    "mem_get_info": memory.mem_get_info,
    "empty_cache": memory.empty_cache,
    "memory_stats": memory.memory_stats,
    "memory_snapshot": memory.memory_snapshot,
    "reset_peak_memory_stats": memory.reset_peaks,
}
"""Replacements for attributes of ``torch.cuda`` and of its modules."""


def install() -> None:
    """Pretend from here on, in this thread and all that start later."""
    for module in (torch.cuda, torch.cuda.memory, torch.cuda.graphs, torch.cuda.streams):
        for name, value in CUDA.items():
            if hasattr(module, name):
                setattr(module, name, value)
    torch._C._host_emptyCache = lambda: None
    torch.Generator = Generator
    torch.tensor = _on_host_first(torch.tensor)
    torch.as_tensor = _on_host_first(torch.as_tensor)
    Tensor.pin_memory = _pin_memory
    Tensor.is_pinned = lambda self, device=None: is_pinned(self)
    for name in ("numpy", "tolist", "data_ptr"):
        setattr(Tensor, name, _touching(getattr(Tensor, name), name))
    torch.set_num_threads(1)  # of operations as small as these, more only spin
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # wrappers cannot be swapped
    _in_every_thread()
    signal.signal(signal.SIGUSR1, lambda *_: setattr(CARD, "broken", True))


def _in_every_thread() -> None:
    """Torch keeps modes by thread."""
    start = threading.Thread.start

    def start_in_mode(self: threading.Thread) -> None:
        run = self.run

        def run_in_mode() -> None:
            with Mode():
                run()

        self.run = run_in_mode
        start(self)

    threading.Thread.start = start_in_mode
    Mode().__enter__()


def _on_host_first(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Python's values become a tensor on the host, which is copied."""

    def made(data, *args, device=None, **kwargs):
        on_device = device is not None and torch.device(device).type == "cuda"
        if on_device and not isinstance(data, DeviceTensor):
            return make(data, *args, **kwargs).to(device)
        return make(data, *args, device=device, **kwargs)

    return made


def _pin_memory(self: Tensor, device=None) -> Tensor:
    streams.forbid_in_capture("pinning memory")
    return pin(self.clone(memory_format=torch.contiguous_format))


def _touching(read: Callable[..., Any], name: str) -> Callable[..., Any]:
    def reading(self: Tensor, *args, **kwargs):
        host_touches(self, name)
        return read(self, *args, **kwargs)

    return reading
