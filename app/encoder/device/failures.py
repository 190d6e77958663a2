"""Failures of the device: memory that ran out, and a device that is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from app.core.errors import DeviceLost
from app.encoder.device.device import ONE_CAPTURE, synchronise
from app.encoder.device.memory import in_device_memory

T = TypeVar("T")


def on_device(device: torch.device, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, and raise failures of the device by their names.

    torch raises ``AcceleratorError`` (once ``RuntimeError``) for every call that CUDA refuses: for
    a context that is broken, but also for memory that ran out and for a wrong argument, after which
    all goes on (c10/cuda/CUDAException.cpp). What tells them apart is CUDA's own law: after an
    illegal access, a failed assertion or a hardware error every later call of the process fails,
    too. So the device is asked.

    Raises:
        DeviceLost: the device takes no call any more.
        OutOfDeviceMemory: in place of what torch raises where memory ran out.
    """
    try:
        return in_device_memory(work)
    except Exception as error:
        lost = _why_lost(device)
        if lost is None:
            raise
        told = dict.fromkeys((_first_line(error), _first_line(lost)))
        reason = "; then: ".join(told)
    # Only here, where the error is gone: its frames hold the memory of the failed pass.
    raise DeviceLost(f"the device takes no call any more, only a new process can: {reason}")


def _why_lost(device: torch.device) -> RuntimeError | None:
    """Wait for the device: the error that it answers with, None where nothing is wrong with it."""
    try:
        with ONE_CAPTURE:  # a device may not be waited for while another thread captures
            synchronise(device)
    except RuntimeError as error:
        return error
    return None


def _first_line(error: Exception) -> str:
    """CUDA's own words, without torch's advice on debugging that follows them."""
    return str(error).partition("\n")[0] or repr(error)
