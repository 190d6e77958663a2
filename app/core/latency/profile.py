"""A profile: measured vision-token latency per number of crops, and under what it was measured.

It is written by measuring and read by planning, so it is plain data here.
``app.core.latency.profile_file`` reads and writes it; docs/reference/profile.md has its fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.core.latency.profile_entry import ProfileEntry, StateEntry
from app.core.statistics import Line, fit_line

SCHEMA_VERSION = 2
"""Raised with every change of the fields, and of the encoder that makes old figures untrue."""

DeviceType = Literal["cpu", "cuda"]
Weights = Literal["random", "checkpoint"]

FEWEST_FOR_A_LINE = 3
"""Counts that a line is fitted to: through two it would always go."""


@dataclass(frozen=True, slots=True)
class MachineState:
    """The machine at one moment; None is what it does not tell.

    ``clock_probe_ms`` is the time of a fixed amount of scalar work, so it shows the CPU's clock.
    ``throttle`` names the reasons for which the GPU holds its clocks down; () is none.
    """

    load_1m: float | None = None
    steal_percent: float | None = None
    clock_probe_ms: float | None = None
    memory_available_bytes: int | None = None
    driver: str | None = None
    sm_clock_mhz: float | None = None
    sm_clock_max_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    throttle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The error of the tokens against the plain float32 path's, as it was found at load."""

    relative_error: float
    min_cosine: float


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """The conditions that decide a latency. A saved profile is reused only if all of them agree.

    The kind of weights does not change a latency, but a reader must know which was measured.
    ``threads`` are torch's on a CPU; None on a GPU, whose work is not done by them.
    """

    model: str
    device: str
    device_type: DeviceType
    dtype: str
    runtime: str
    weights: Weights
    overlap_margins: tuple[int, int]
    threads: int | None
    torch_version: str
    openvino_version: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Entries by rising ``total_crops``, with the conditions they were measured under.

    Attributes:
        runtime: how the network is run: ``eager``, ``packed``, ``cuda-graphs``, ``openvino``, …
        versions: of ``python``, ``torch``, ``crop_planner``, and of what else ran.
        measured_at: ISO 8601 in UTC.
        rounds: timed passes of each count, as many as were asked for or as the time allowed; one
            that is not complete has fewer.
        matmul_gflop_per_s: what the device reaches on one large product in ``dtype``.
        copy_gb_per_s: what it reaches copying memory on the device, bytes read plus written.
        fidelity: None if it was not checked.
        machine_before, machine_after: the measurement; None if not recorded.
        contended: why the figures should be doubted, or None. Minima and CPU time are then to be
            quoted beside the medians.
        states: latencies of a cold or idle encoder; ``entries`` are those of a warm one.
        complete: whether every count that was asked for has its ``rounds``.
    """

    schema_version: int
    model: str
    device: str
    device_type: DeviceType
    dtype: str
    runtime: str
    weights: Weights
    overlap_margins: tuple[int, int]
    threads: int
    versions: dict[str, str]
    measured_at: str
    rounds: int
    matmul_gflop_per_s: float | None
    copy_gb_per_s: float | None
    fidelity: Fidelity | None
    machine_before: MachineState | None
    machine_after: MachineState | None
    contended: str | None
    states: tuple[StateEntry, ...]
    complete: bool
    entries: tuple[ProfileEntry, ...]

    @property
    def key(self) -> ProfileKey:
        return ProfileKey(
            model=self.model,
            device=self.device,
            device_type=self.device_type,
            dtype=self.dtype,
            runtime=self.runtime,
            weights=self.weights,
            overlap_margins=self.overlap_margins,
            threads=self.threads if self.device_type == "cpu" else None,
            torch_version=self.versions["torch"],
            openvino_version=self.versions.get("openvino"),
        )

    def age_s(self, now: datetime) -> float:
        """Seconds since it was measured, at least 0: clocks may differ. ``now`` has a time zone."""
        return max(0.0, (now - datetime.fromisoformat(self.measured_at)).total_seconds())

    def matches(self, key: ProfileKey) -> bool:
        """Whether this profile was measured under the conditions of ``key``."""
        return self.key == key

    def entry(self, total_crops: int) -> ProfileEntry | None:
        """The entry of just that count, never an interpolated one."""
        return next((e for e in self.entries if e.total_crops == total_crops), None)

    @property
    def line(self) -> Line | None:
        """The p50 in ms over total crops. None on a GPU, whose staircase no line describes."""
        if self.device_type != "cpu" or len(self.entries) < FEWEST_FOR_A_LINE:
            return None
        counts = [entry.total_crops for entry in self.entries]
        return fit_line(counts, [entry.vision_ms.p50 for entry in self.entries])
