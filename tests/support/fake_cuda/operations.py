"""Every operation of torch passes here: it is checked, ordered, recorded, and run on the host."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from .copies import Copy
from .nested import leaves, mapped
from .products import PRODUCTS
from .state import STATS, check_works
from .streams import capturing, current_stream, forbid_in_capture, hidden_wait, order
from .tensors import DeviceTensor, aten, wrap
from .transfers import host_touches, pin

VIEWS = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "view_as", "flatten", "unflatten",
    "permute", "transpose", "t", "movedim", "expand", "squeeze", "unsqueeze", "as_strided",
    "slice", "select", "narrow", "diagonal", "unfold", "unbind", "split", "split_with_sizes",
    "chunk", "tensor_split", "alias", "detach", "lift_fresh", "is_same_size",
}  # fmt: skip
EMPTY = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}
NO_KERNEL = VIEWS | EMPTY
WAITING = {
    "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "nonzero_numpy", "masked_select",
    "_unique2", "unique_dim", "unique_consecutive", "bincount",
}  # fmt: skip
"""Operations with a result, or a result's size, for the host."""
RANDOM = {"normal", "uniform", "randn", "rand", "randint", "bernoulli", "randperm"}
COPIES = {"_to_copy", "copy", "_copy_from"}
GENERATORS: set[int] = set()
"""The addresses of generators on the device: an operation gets another Python object."""


class Mode(TorchDispatchMode):
    """Bring operations without a tensor of the device here."""

    _should_skip_dynamo = classmethod(lambda cls: False)  # importing dynamo takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


def dispatch(func, args, kwargs):
    if _is_composite(func):  # in inference mode they come whole
        with Mode():
            return func.decompose(*args, **kwargs)
    flat = leaves((args, kwargs))
    target = kwargs.get("device")
    to_device = target is not None and torch.device(target).type == "cuda"
    ours = [one for one in flat if isinstance(one, DeviceTensor)]
    if not ours and not to_device:
        return _on_host(func, args, kwargs, flat)
    name = _name(func)
    if name not in NO_KERNEL:
        check_works()
    if name in COPIES:
        copy = Copy(name, args, kwargs)
        if copy.leaves_device:
            return copy.to_host(func)
        copy.check()
    else:
        _check(func, name, args, kwargs, flat, to_device)
    return _on_device(func, name, args, kwargs, ours)


def _on_host(func, args, kwargs, flat):
    if kwargs.get("pin_memory"):
        forbid_in_capture("pinning memory")
        return pin(func(*args, **{**kwargs, "pin_memory": False}))
    if _name(func) not in NO_KERNEL:
        for one in flat:
            if isinstance(one, Tensor):
                host_touches(one, str(func))
    return func(*args, **kwargs)


def _on_device(func, name, args, kwargs, ours):
    """Run an operation on the host's tensors, and put its results in the device's memory."""
    graph, stream = capturing(), current_stream()
    host_args, host_kwargs = mapped(_host, args), mapped(_host, kwargs)
    host_kwargs.pop("pin_memory", None)
    if "device" in host_kwargs:
        host_kwargs["device"] = torch.device("cpu")
    mutated = _mutated(func, args, kwargs)
    if graph is not None:
        for one in mutated:
            graph.save(one.buffer, one.host)
    work = EMULATED.get(func, func)
    results = work(*host_args, **host_kwargs)

    known = {id(one.host): one for one in ours}
    bases = {one.host.untyped_storage()._cdata: one for one in ours}
    fresh: list[DeviceTensor] = []

    def lift(one: Any) -> Any:
        if not isinstance(one, Tensor) or id(one) in known:
            return known.get(id(one), one)
        base = bases.get(one.untyped_storage()._cdata)
        # A view of an ordinary tensor is an ordinary one, in inference mode, too.
        with torch.inference_mode(torch.is_inference_mode_enabled() and _is_inference(base)):
            made = wrap(one)
        if base is None:
            fresh.append(made)
        return made

    lifted = results if name in WAITING else mapped(lift, results)
    if graph is not None:
        step = (work, host_args, host_kwargs, results)
        touched = [*ours, *(one for one in leaves(lifted) if isinstance(one, DeviceTensor))]
        graph.note(step, touched, mutated, fresh)
    if name not in NO_KERNEL:
        STATS["launches"] += graph is None
        written = [one.buffer for one in (*mutated, *fresh)]
        order(stream, [one.buffer for one in ours], written, str(func))
    return lifted


def _host(one: Any) -> Any:
    return one.host if isinstance(one, DeviceTensor) else one


def _is_inference(base: DeviceTensor | None) -> bool:
    return base is None or base.is_inference()


def _mutated(func, args, kwargs) -> list[DeviceTensor]:
    """List the tensors of the device written by an operation, by its schema."""
    schema = func._schema.arguments
    given = dict(zip((argument.name for argument in schema), args, strict=False)) | kwargs
    return [
        given[argument.name]
        for argument in schema
        if isinstance(given.get(argument.name), DeviceTensor)
        and argument.alias_info is not None
        and argument.alias_info.is_write
    ]


def _check(func, name, args, kwargs, flat, to_device: bool) -> None:
    """Refuse like CUDA, and make the host wait like CUDA."""
    on_host = [one for one in flat if isinstance(one, Tensor) and not isinstance(one, DeviceTensor)]
    if name in WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        hidden_wait(name)
    elif name in ("index", "index_put", "_index_put_impl_", "_unsafe_index"):
        indices = [one for one in leaves(args[1]) if isinstance(one, Tensor)]
        if any(one.dtype in (torch.bool, torch.uint8) for one in indices):
            hidden_wait(f"{name} by a mask")
        if any(not isinstance(one, DeviceTensor) for one in indices):
            hidden_wait(f"{name} by indices on the CPU")
    elif any(one.device.type == "cpu" and one.dim() for one in on_host):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! (in {func})"
        )
    if name in RANDOM:
        generator = kwargs.get("generator")
        if generator is not None and to_device and generator._cdata not in GENERATORS:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if capturing() is not None:
            forbid_in_capture("random numbers of an unregistered generator")


def _name(func) -> str:
    name = func._schema.name.split("::")[1]
    return name if name.startswith("_") else name.rstrip("_")


_composite: dict[Any, bool] = {}


def _is_composite(func) -> bool:
    if func not in _composite:
        whole = any(part in func._schema.name for part in ("scaled_dot_product", "upsample_"))
        key = torch._C.DispatchKey.CompositeImplicitAutograd
        _composite[func] = not whole and func.has_kernel_for_dispatch_key(key)
    return _composite[func]


def _attention(*args, **kwargs):
    """Attend on the host for any kernel of the device."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        return aten.scaled_dot_product_attention.default(*args, **kwargs)


EMULATED = {aten.scaled_dot_product_attention.default: _attention, **PRODUCTS}
"""Functions of the host in place of CUDA's own kernels."""
