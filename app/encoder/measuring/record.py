"""Record the conditions of a measurement."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from app import __version__
from app.core.latency.profile import Fidelity, MachineState, ProfileKey
from app.core.plan.config import CropConfig, make_config
from app.encoder.device.device import device_name, dtype_name
from app.encoder.encoder import Encoder
from app.encoder.measuring.machine import contention


def profile_key(encoder: Encoder, config: CropConfig | None = None) -> ProfileKey:
    """Return the present conditions for a profile of this encoder."""
    margins = (config or make_config(encoder.family)).overlap_margins
    on_cuda, runtime = encoder.device.type == "cuda", encoder.runtime.name
    return ProfileKey(
        model=encoder.family.name,
        device=device_name(encoder.device),
        device_type="cuda" if on_cuda else "cpu",
        dtype=dtype_name(encoder.dtype),
        runtime=runtime,
        weights=encoder.weights,
        overlap_margins=margins,
        threads=None if on_cuda else torch.get_num_threads(),
        torch_version=torch.__version__,
        openvino_version=version("openvino") if runtime.startswith("openvino") else None,
    )


def conditions(
    encoder: Encoder,
    key: ProfileKey,
    before: MachineState,
    after: MachineState | None,
    *,
    cpu_ms: float,
    wall_ms: float,
) -> dict[str, Any]:
    """Return the fields that a profile and a timing have in common, with the present time.

    Args:
        encoder: its agreement with plain float32 is the fidelity, None without a check.
        before, after: the machine around the passes; ``after`` is None before their end.
        cpu_ms, wall_ms: the CPU time of the process in all passes, and the time of all passes.
    """
    versions = {
        "python": platform.python_version(),
        "torch": key.torch_version,
        "crop_planner": __version__,
    }
    if key.openvino_version is not None:
        versions["openvino"] = key.openvino_version
    tokens = encoder.fidelity.tokens if encoder.fidelity else None
    share = cpu_share(key, spent_ms=cpu_ms, wall_ms=wall_ms)
    return {
        "device": key.device,
        "device_type": key.device_type,
        "dtype": key.dtype,
        "runtime": key.runtime,
        "weights": key.weights,
        "threads": torch.get_num_threads(),
        "versions": versions,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "fidelity": tokens and Fidelity(tokens.relative_error, max(0.0, tokens.min_cosine)),
        "machine_before": before,
        "machine_after": after,
        "contended": contention(before, after, cpu_share=share) if after else None,
    }


def cpu_share(key: ProfileKey, *, spent_ms: float, wall_ms: float) -> float | None:
    """Return CPU time per wall time and thread of passes on a CPU; None on a GPU."""
    if not key.threads or not wall_ms or not spent_ms:
        return None
    return spent_ms / wall_ms / key.threads
