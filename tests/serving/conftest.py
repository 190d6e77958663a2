"""The worker, a device, and a batcher between the two."""

from collections.abc import Iterator

import pytest
from support.devices import Device

from app.serving.device.worker import DeviceWorker
from app.serving.encode.batcher import Batcher


@pytest.fixture
def worker() -> Iterator[DeviceWorker]:
    worker = DeviceWorker(queue_limit=9, stall_s=60)
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture
def flies() -> bool:
    """Whether passes go on after their launch, as on a GPU."""
    return False


@pytest.fixture
def device(flies: bool) -> Iterator[Device]:
    device = Device(flies=flies)
    yield device
    device.release()


@pytest.fixture
def batcher(worker: DeviceWorker, device: Device) -> Batcher:
    return Batcher(worker, device, limit_crops=lambda: 4, queue_crops=20)
