"""Measure an encoder that is not warm: the first call of a process, and calls after silence."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from app.core.latency.profile import StateEntry
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.encoder.device.device import dtype_name
from app.encoder.encoder import Encoder
from app.encoder.loading import load_encoder
from app.encoder.measuring.series import subject_of
from app.encoder.synthetic import profile_plans

SILENCES_S = (1.0, 10.0)
REPEATS = 3


def measure_idle(
    encoder: Encoder,
    counts: Sequence[int],
    *,
    silences_s: Sequence[float] = SILENCES_S,
    repeats: int = REPEATS,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[StateEntry, ...]:
    """Time passes of a warm encoder, each after a silence, for each number of crops."""
    entries: list[StateEntry] = []
    for plan in profile_plans(make_config(encoder.family), counts):
        subject = subject_of(encoder, plan, ("vision",))
        subject.time("vision")  # warm
        for silence_s in silences_s:
            samples: list[float] = []
            for _ in range(repeats):
                sleep(silence_s)
                samples += subject.time("vision").vision
            entry = StateEntry.of(
                "idle", tuple(samples), total_crops=plan.total_crops, silence_s=silence_s
            )
            entries.append(entry)
    return tuple(entries)


def measure_cold(encoder: Encoder, total_crops: int, checkpoint: Path | None) -> StateEntry:
    """Time first calls of the same encoder, each in a process of its own.

    Raises:
        RuntimeError: a process failed. The error has the end of its output.
    """
    start = {
        "model": encoder.family.name,
        "total_crops": total_crops,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "device": "cuda" if encoder.device.type == "cuda" else "cpu",
        "dtype": dtype_name(encoder.dtype),
        "runtime": encoder.runtime.name,
        "threads": torch.get_num_threads(),
    }
    runs = [_in_a_fresh_process(json.dumps(start)) for _ in range(REPEATS)]
    return StateEntry.of(
        "cold",
        tuple(first_ms for _, first_ms in runs),
        total_crops=total_crops,
        load_s=min(load_s for load_s, _ in runs),
    )


def _in_a_fresh_process(start: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "app.encoder.measuring.states", start]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"a fresh process failed: {done.stderr.strip()[-500:]}")
    load_s, first_ms = json.loads(done.stdout.splitlines()[-1])
    return float(load_s), float(first_ms)


def run_cold(
    model: str, total_crops: int, checkpoint: str | None, **choices: Any
) -> tuple[float, float]:
    """Load and run once in this process; return the s of the load and the ms of the pass.

    ``choices`` are arguments of :func:`load_encoder`.
    """
    family = family_named(model)
    started = time.perf_counter()
    folder = Path(checkpoint) if checkpoint else None
    encoder = load_encoder(family, checkpoint=folder, check=False, **choices)  # no call before ours
    load_s = time.perf_counter() - started
    (plan,) = profile_plans(make_config(family), [total_crops])
    (first_ms,) = subject_of(encoder, plan, ("vision",)).time("vision").vision
    return load_s, first_ms


if __name__ == "__main__":
    print(json.dumps(run_cold(**json.loads(sys.argv[1]))))
