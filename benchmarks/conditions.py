"""What a measurement was made under: the machine before and after it, and what ran."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict
from importlib import import_module
from typing import Any

import torch

from app.encoder.device import device_name


def machine(device: torch.device) -> dict[str, Any] | None:
    """The machine now, as :class:`app.core.profile.MachineState`; None where nothing tells."""
    try:
        module = import_module("app.encoder.machine")
    except ModuleNotFoundError:
        return None
    return asdict(module.machine_state(device))


def conditions(device: torch.device) -> dict[str, Any]:
    """Device and versions."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "weights": "random",
    }


def result_name(benchmark: str, device: torch.device) -> str:
    """A file name: benchmark, device and versions."""
    slug = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    python = ".".join(platform.python_version_tuple()[:2])
    version = torch.__version__.partition("+")[0]
    return f"{benchmark}_{device.type}_{slug}_torch-{version}_python-{python}"
