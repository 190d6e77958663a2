"""What a measurement was made under, and the name it is kept by."""

from __future__ import annotations

import platform
import re
from typing import Any

import torch

from app.encoder.device import device_name


def conditions(device: torch.device) -> dict[str, Any]:
    """Device and versions."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "weights": "random",
    }


def device_slug(device: torch.device) -> str:
    """The device's name as it is part of a file's: ``amd-epyc-2-cores``."""
    return re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")


def result_name(benchmark: str, device: torch.device) -> str:
    """A file name: benchmark, device and versions."""
    python = ".".join(platform.python_version_tuple()[:2])
    version = torch.__version__.partition("+")[0]
    return f"{benchmark}_{device.type}_{device_slug(device)}_torch-{version}_python-{python}"
