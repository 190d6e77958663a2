"""A profile as measuring would have left it."""

from __future__ import annotations

from dataclasses import replace

from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.latency.profile import (
    SCHEMA_VERSION,
    Fidelity,
    MachineState,
    Profile,
    ProfileEntry,
    StateEntry,
)
from app.core.latency.timings import Samples, Warmup
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid
from app.core.plan.plan import CropPlan
from app.core.plan.tokens import axis_tokens, count_tokens


def entry(rows: int, cols: int, ms: float) -> ProfileEntry:
    """Three passes, of ``ms`` and one and two ms more."""
    return entry_of(rows, cols, (ms, ms + 1, ms + 2))


def grid_tokens(rows: int, cols: int) -> int:
    """Patch tokens of the default family's own configuration; of the global crop alone at 0x0."""
    config = make_config(family_named(DEFAULT_FAMILY))
    return count_tokens(Grid(rows, cols), config).patch if rows else axis_tokens(1, config) ** 2


def entry_of(rows: int, cols: int, vision: tuple[float, ...]) -> ProfileEntry:
    """An entry of these passes, nine tenths of each in the ViT and a tenth in the connector."""
    samples = Samples(
        vision=vision,
        vit=tuple(0.9 * ms for ms in vision),
        connector=tuple(0.1 * ms for ms in vision),
    )
    return ProfileEntry.of(
        samples,
        rows=rows,
        cols=cols,
        patch_tokens=grid_tokens(rows, cols),
        flops=10**9,
        warmup=Warmup(calls=10, settled=True),
    )


def profile(*entries: ProfileEntry) -> Profile:
    """With what must be known, and nothing else."""
    return Profile(
        schema_version=SCHEMA_VERSION,
        model="molmo-7b-d-0924",
        device="a device",
        device_type="cpu",
        dtype="float32",
        runtime="eager",
        weights="random",
        overlap_margins=(4, 4),
        threads=1,
        versions={"python": "3.11", "torch": "2", "crop_planner": "0"},
        measured_at="2025-01-01T00:00:00+00:00",
        rounds=3,
        matmul_gflop_per_s=None,
        copy_gb_per_s=None,
        fidelity=None,
        machine_before=None,
        machine_after=None,
        contended=None,
        states=(),
        complete=True,
        entries=entries,
    )


def full_profile() -> Profile:
    """A GPU's profile in which nothing is left out, contended at that."""
    many = tuple(20.0 + number % 7 for number in range(500))
    samples = Samples(
        vision=many,
        vit=tuple(0.875 * ms for ms in many),
        connector=tuple(0.125 * ms for ms in many),
        cpu=tuple(0.25 * ms for ms in many),
        transfer_vision=tuple(1.5 * ms for ms in many[:9]),
        full=tuple(2.0 * ms for ms in many[:7]),
    )
    seven = ProfileEntry.of(
        samples,
        rows=2,
        cols=3,
        patch_tokens=704,
        flops=2_629_000_000_000,
        warmup=Warmup(calls=12, settled=False),
        peak_memory_bytes=1_500_000_000,
    )
    before = MachineState(
        load_1m=0.5,
        steal_percent=0.0,
        clock_probe_ms=4.25,
        memory_available_bytes=10**11,
        driver="570.1",
        sm_clock_mhz=1755.0,
        sm_clock_max_mhz=1980.0,
        memory_clock_mhz=2619.0,
        power_w=110.5,
        power_limit_w=700.0,
        temperature_c=34.0,
    )
    return replace(
        profile(entry(0, 0, 5.0), seven),
        device="Some GPU (80 GB)",
        device_type="cuda",
        dtype="bfloat16",
        runtime="cuda-graphs",
        threads=2,
        matmul_gflop_per_s=790_000.0,
        copy_gb_per_s=2_800.0,
        fidelity=Fidelity(relative_error=4e-3, min_cosine=0.9999),
        machine_before=before,
        machine_after=MachineState(throttle=("sw_power_cap", "sw_thermal_slowdown")),
        contended="clocks were held down: sw_thermal_slowdown",
        states=(
            StateEntry.of("cold", (900.0,), total_crops=7, load_s=2.5),
            StateEntry.of("idle", (25.0, 26.0), total_crops=7, silence_s=10.0),
        ),
    )


def predict(measured: Profile, plan: CropPlan) -> Latency:
    """What a profile says of a plan, with no encoder to compare with."""
    return Predictions(LatencyModel(measured), "").latency(plan)
