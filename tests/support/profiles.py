"""A profile as measuring would have left it."""

from __future__ import annotations

from app.core.profile import SCHEMA_VERSION, Percentiles, Profile, ProfileEntry


def entry(rows: int, cols: int, ms: float) -> ProfileEntry:
    times = Percentiles.of([ms, ms + 1, ms + 2])
    return ProfileEntry(
        total_crops=rows * cols + 1,
        rows=rows,
        cols=cols,
        patch_tokens=100,
        vision_ms=times,
        vit_ms=times,
        connector_ms=times,
        flops=10**9,
        gflop_per_s=1e3 / ms,
        samples_ms=(ms, ms + 1, ms + 2),
    )


def profile(*entries: ProfileEntry) -> Profile:
    return Profile(
        schema_version=SCHEMA_VERSION,
        model="molmo-7b-d-0924",
        device="a device",
        device_type="cpu",
        dtype="float32",
        weights="random",
        overlap_margins=(4, 4),
        threads=1,
        versions={"python": "3.11", "torch": "2", "crop_planner": "0"},
        measured_at="2025-01-01T00:00:00+00:00",
        warmup=1,
        matmul_gflop_per_s=None,
        complete=True,
        entries=entries,
    )
