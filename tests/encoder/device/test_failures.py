"""Failures of the device: a lost one is told from one that goes on."""

import pytest
import torch

from app.core.errors import DeviceLost, OutOfDeviceMemory
from app.encoder.device import memory
from app.encoder.device.memory import on_device

CUDA = torch.device("cuda", 0)
ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be …"
MEMORY = "CUDA error: out of memory\nCUDA kernel errors might be …"


class Device:
    """Answers a wait, or fails it once ``broken``, as CUDA does after an illegal access."""

    def __init__(self) -> None:
        self.broken = False

    def synchronise(self, device: torch.device) -> None:
        assert device == CUDA
        if self.broken:
            raise torch.AcceleratorError(ILLEGAL)


@pytest.fixture
def device(monkeypatch) -> Device:
    device = Device()
    monkeypatch.setattr(memory, "synchronise", device.synchronise)
    return device


def raising(error: Exception):
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize("kind", [torch.AcceleratorError, RuntimeError])
def test_a_device_that_takes_no_call_any_more_is_lost(device, kind):
    """And CUDA's own words are told, without torch's advice."""
    device.broken = True
    with pytest.raises(DeviceLost) as lost:
        on_device(CUDA, raising(kind(ILLEGAL)))
    assert "an illegal memory access was encountered" in lost.value.detail
    assert "might be" not in lost.value.detail


def test_whatever_failed_first_a_device_that_answers_nothing_is_lost(device):
    """cuBLAS cannot make a handle on a broken device, and says that memory ran out."""
    device.broken = True
    with pytest.raises(DeviceLost, match="CUBLAS_STATUS_ALLOC_FAILED"):
        on_device(CUDA, raising(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), torch.AcceleratorError(MEMORY)]
)
def test_memory_that_ran_out_is_no_lost_device(device, error):
    """Though CUDA's own allocation failure comes in the class of a broken context."""
    with pytest.raises(OutOfDeviceMemory):
        on_device(CUDA, raising(error))


def test_a_call_that_was_refused_is_no_lost_device(device):
    with pytest.raises(torch.AcceleratorError, match="invalid argument"):
        on_device(CUDA, raising(torch.AcceleratorError("CUDA error: invalid argument")))


def test_the_failed_pass_is_not_kept_by_the_error(device):
    """Its frames would hold the pass's memory."""
    device.broken = True
    with pytest.raises(DeviceLost) as lost:
        on_device(CUDA, raising(torch.AcceleratorError(ILLEGAL)))
    assert lost.value.__context__ is None


def test_what_succeeds_is_returned_and_the_device_is_not_waited_for(device):
    device.broken = True
    assert on_device(CUDA, lambda: 7) == 7
