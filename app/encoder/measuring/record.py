"""Record the conditions of a measurement, and compare its aim with an earlier profile."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from app import __version__
from app.core.latency.profile import Fidelity, MachineState, Profile, ProfileEntry, ProfileKey
from app.core.plan.config import CropConfig, make_config
from app.encoder.device.device import device_name, dtype_name
from app.encoder.encoder import Encoder
from app.encoder.measuring.machine import contention
from app.encoder.measuring.warmup import Pace
from app.encoder.synthetic import ProfilePlan

Entries = Mapping[int, ProfileEntry]
"""Entries by total crops."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Compare the wished counts and rounds with a usable earlier profile."""

    plans: Sequence[ProfilePlan]
    pace: Pace
    profile: Profile | None

    def earlier(self) -> dict[int, ProfileEntry]:
        """Return the entries of the earlier profile, by total crops."""
        return {entry.total_crops: entry for entry in self.profile.entries} if self.profile else {}

    def lacking(self) -> list[ProfilePlan]:
        """List the plans with fewer passes than wished."""
        earlier = self.earlier()
        return [plan for plan in self.plans if _passes(earlier, plan) < self.pace.most]

    def rounds(self, entries: Entries) -> int:
        """Return the fewest passes of a wished count, at most the wished rounds."""
        return min(self.pace.most, *(_passes(entries, plan) for plan in self.plans))

    def others_complete(self) -> bool:
        """Return True if every earlier count without a wish has passes enough."""
        wished = {plan.total_crops for plan in self.plans}
        return (self.profile is not None and self.profile.complete) or all(
            len(entry.samples_ms.vision) >= self.pace.least
            for crops, entry in self.earlier().items()
            if crops not in wished
        )

    def reached(self, profile: Profile) -> Profile:
        """Return an earlier profile without lacking passes, as the result of this measurement."""
        rounds = self.rounds(self.earlier())
        return replace(profile, complete=self.others_complete(), rounds=rounds)


def _passes(entries: Entries, plan: ProfilePlan) -> int:
    entry = entries.get(plan.total_crops)
    return len(entry.samples_ms.vision) if entry else 0


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
        before, after: the machine around the passes; ``after`` is None before their end.
        cpu_ms, wall_ms: the CPU time of the process in all passes, and the time of all passes.
    """
    share = cpu_share(key, spent_ms=cpu_ms, wall_ms=wall_ms)
    return {
        "device": key.device,
        "device_type": key.device_type,
        "dtype": key.dtype,
        "runtime": key.runtime,
        "weights": key.weights,
        "threads": torch.get_num_threads(),
        "versions": _versions(key),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "fidelity": _fidelity(encoder),
        "machine_before": before,
        "machine_after": after,
        "contended": contention(before, after, cpu_share=share) if after else None,
    }


def _versions(key: ProfileKey) -> dict[str, str]:
    """List the versions that can change a latency, by name."""
    known = {
        "python": platform.python_version(),
        "torch": key.torch_version,
        "crop_planner": __version__,
    }
    return known if key.openvino_version is None else known | {"openvino": key.openvino_version}


def _fidelity(encoder: Encoder) -> Fidelity | None:
    """Return the encoder's agreement with plain float32; None without a check."""
    if encoder.fidelity is None:
        return None
    tokens = encoder.fidelity.tokens
    return Fidelity(tokens.relative_error, max(0.0, tokens.min_cosine))


def cpu_share(key: ProfileKey, *, spent_ms: float, wall_ms: float) -> float | None:
    """Return CPU time per wall time and thread of passes on a CPU; None on a GPU."""
    if not key.threads or not wall_ms or not spent_ms:
        return None
    return spent_ms / wall_ms / key.threads
