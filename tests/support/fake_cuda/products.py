"""Products as CUDA makes them: summed in float32, rounded once, also to a wider dtype.

A CPU has no kernels for the wider dtype, and slow ones for 16 bits. The checks are those of
``aten/src/ATen/native/cuda/Blas.cpp``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .state import problem

aten = torch.ops.aten
NARROW = (torch.float16, torch.bfloat16)


def _product(left: Tensor, right: Tensor, out_dtype: torch.dtype | None = None, *, out=None):
    return _rounded(_wide(left) @ _wide(right), left, right, out_dtype, out)


def _sum(addend: Tensor, left: Tensor, right: Tensor, out_dtype: torch.dtype | None = None,
         *, beta=1, alpha=1, out=None):  # fmt: skip
    if addend.dtype not in (out_dtype, left.dtype):
        raise RuntimeError("self dtype must match either out_dtype or mat1 dtype")
    if out_dtype and out is not None and left.dim() == 3 and addend.data_ptr() != out.data_ptr():
        problem("baddbmm with out_dtype adds to `out`, not to its first argument, in older torch")
    add = torch.addmm if left.dim() == 2 else torch.baddbmm
    found = add(_wide(addend), _wide(left), _wide(right), beta=beta, alpha=alpha)
    return _rounded(found, left, right, out_dtype, out)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in NARROW else tensor


def _rounded(
    found: Tensor, left: Tensor, right: Tensor, out_dtype: torch.dtype | None, out: Tensor | None
) -> Tensor:
    if left.dtype != right.dtype:
        raise RuntimeError("input dtypes must be the same")
    dtype = out_dtype or left.dtype
    if dtype != left.dtype and (dtype != torch.float32 or left.dtype not in NARROW):
        raise RuntimeError("out_dtype must be the same as input dtype or fp32 for fp16/bf16 inputs")
    if out is None:
        return found.to(dtype)
    if out.dtype != dtype:
        raise RuntimeError("out_dtype must be the same as the dtype of the provided out tensor")
    return out.copy_(found)


PRODUCTS: dict[Any, Callable[..., Tensor]] = {
    getattr(getattr(aten, name), overload): work
    for name, work in (("mm", _product), ("bmm", _product), ("addmm", _sum), ("baddbmm", _sum))
    for overload in ("default", "out", "dtype", "dtype_out")
    if overload in getattr(aten, name).overloads()
}
