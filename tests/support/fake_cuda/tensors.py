"""A tensor on the device: a wrapper around one on the host, with the memory that it would have."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from .memory import Buffer
from .state import DEVICE
from .streams import Stream, capturing, current_stream, hidden_wait

aten = torch.ops.aten
BUFFERS: weakref.WeakValueDictionary[int, Buffer] = weakref.WeakValueDictionary()
"""By the host's memory, so that views share one."""


class DeviceTensor(Tensor):
    host: Tensor
    buffer: Buffer

    @staticmethod
    def __new__(cls, host: Tensor, buffer: Buffer) -> DeviceTensor:
        made = Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            layout=host.layout,
            device=DEVICE,
        )
        made.host, made.buffer = host, buffer
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        from .operations import dispatch

        return dispatch(func, args, kwargs or {})

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, other: DeviceTensor) -> None:
        Tensor.data.__set__(self, other)
        self.host, self.buffer = other.host, other.buffer

    # Torch's own of these set the device first, or read memory, which a CPU build cannot.
    def __getitem__(self, key):
        view, indices = basic_view(self, key)
        return view if indices is None else aten.index.Tensor(view, indices)

    def __setitem__(self, key, value) -> None:
        view, indices = basic_view(self, key)
        if not isinstance(value, Tensor):
            if indices is None:
                view.fill_(value)
                return
            value = torch.tensor(value, dtype=self.dtype)  # a scalar goes with the launch
        if indices is None:
            view.copy_(value.expand(view.shape))
        else:
            aten.index_put_.default(view, indices, value)

    def copy_(self, source, non_blocking=False):
        return aten.copy_.default(self, source, non_blocking)

    def contiguous(self, memory_format=torch.contiguous_format):
        return aten.contiguous.default(self, memory_format=memory_format)

    def __invert__(self):
        return aten.bitwise_not.default(self)

    def record_stream(self, stream: Stream) -> None:
        self.buffer.recorded.add(stream.id)

    def item(self):
        hidden_wait("item")
        return self.host.item()

    def tolist(self):
        hidden_wait("tolist")
        return self.host.tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    __index__ = __int__

    def __bool__(self):
        return bool(self.item())

    def numpy(self, **_):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *_, **__):
        return self.numpy()

    def __repr__(self, **_):
        return f"DeviceTensor({self.host!r})"

    def __deepcopy__(self, memo):
        copied = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, requires_grad=self.requires_grad)
        memo[id(self)] = copied
        return copied


def wrap(host: Tensor) -> DeviceTensor:
    """A tensor on the device, in memory that others view or in new memory."""
    storage = host.untyped_storage()
    buffer = BUFFERS.get(storage._cdata)
    if buffer is None:
        buffer = Buffer(storage.nbytes(), current_stream(), capturing())
        BUFFERS[storage._cdata] = buffer
    return DeviceTensor(host, buffer)


def basic_view(tensor: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None] | None]:
    """The view that slices and numbers make, and the tensors that index it; None without any."""
    dim, indices = 0, {}
    for one in _without_ellipsis(tensor, key):
        if one is None:
            tensor, dim = tensor.unsqueeze(dim), dim + 1
        elif isinstance(one, slice):
            if one != slice(None):
                tensor = aten.slice.Tensor(tensor, dim, one.start, one.stop, one.step or 1)
            dim += 1
        elif isinstance(one, int):
            tensor = tensor.select(dim, one)
        else:
            indices[dim] = one = torch.as_tensor(one)
            dim += one.dim() if one.dtype == torch.bool else 1
    if not indices:
        return tensor, None
    return tensor, [indices.get(place) for place in range(max(indices) + 1)]


def _without_ellipsis(tensor: Tensor, key: Any) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    at = next((place for place, one in enumerate(keys) if one is Ellipsis), None)
    if at is not None:
        given = sum(
            one.dim() if isinstance(one, Tensor) and one.dtype == torch.bool else 1
            for one in keys
            if one is not None and one is not Ellipsis
        )
        keys[at : at + 1] = [slice(None)] * (tensor.dim() - given)
    return keys
