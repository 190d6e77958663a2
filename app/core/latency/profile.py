"""Hold a profile: latency by number of crops on one device, with the measurement's conditions.

``app.encoder.measuring`` makes profiles and planning reads them; here they are plain values.
``app.core.latency.profile_file`` defines their text, docs/reference/profile.md every field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from app.core.latency.timings import Percentiles, Samples, Warmup
from app.core.plan.work import floor_ms, gflop_per_s
from app.core.statistics import Line, fit_line

SCHEMA_VERSION = 2
"""The version rises with every change of the fields or of the meaning of old figures."""

DeviceType = Literal["cpu", "cuda"]
Weights = Literal["random", "checkpoint"]
State = Literal["cold", "idle"]

FEWEST_FOR_A_LINE = 3
"""A line needs this number of counts: two points always have one."""


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """Describe the latency of one number of crops on a warm encoder.

    Attributes:
        total_crops: the global crop included. The entry of 1 is the global crop alone and has
            ``rows = cols = 0``.
        vision_ms: from patches on the device to tokens on the device.
        vit_ms, connector_ms: the two parts of ``vision_ms``, of the same passes.
        transfer_vision_ms, full_ms, cpu_ms: see :class:`Samples`; None without samples.
        flops: the needed work, see :mod:`app.core.plan.work`.
        gflop_per_s: ``flops`` over the p50 of ``vision_ms``.
        peak_memory_bytes: the most memory in use on the device during a pass.
        samples_ms: the source of all percentiles.
    """

    total_crops: int
    rows: int
    cols: int
    patch_tokens: int
    vision_ms: Percentiles
    vit_ms: Percentiles
    connector_ms: Percentiles
    transfer_vision_ms: Percentiles | None
    full_ms: Percentiles | None
    cpu_ms: Percentiles | None
    flops: int
    gflop_per_s: float
    peak_memory_bytes: int | None
    warmup: Warmup
    samples_ms: Samples

    @classmethod
    def of(
        cls,
        samples_ms: Samples,
        *,
        rows: int,
        cols: int,
        patch_tokens: int,
        flops: int,
        warmup: Warmup,
        peak_memory_bytes: int | None = None,
    ) -> ProfileEntry:
        """Make an entry from samples and compute the derived fields.

        Raises:
            ValueError: no samples of vision, ViT or connector.
        """
        vision = Percentiles.of(samples_ms.vision)
        return cls(
            total_crops=rows * cols + 1,
            rows=rows,
            cols=cols,
            patch_tokens=patch_tokens,
            vision_ms=vision,
            vit_ms=Percentiles.of(samples_ms.vit),
            connector_ms=Percentiles.of(samples_ms.connector),
            transfer_vision_ms=Percentiles.of_any(samples_ms.transfer_vision),
            full_ms=Percentiles.of_any(samples_ms.full),
            cpu_ms=Percentiles.of_any(samples_ms.cpu),
            flops=flops,
            gflop_per_s=gflop_per_s(flops, vision.p50),
            peak_memory_bytes=peak_memory_bytes,
            warmup=warmup,
            samples_ms=samples_ms,
        )

    def floor_ms(self, matmul_gflop_per_s: float | None) -> float | None:
        """Return the ms of the needed work at the rate of a large product; None without a rate."""
        return floor_ms(self.flops, matmul_gflop_per_s) if matmul_gflop_per_s else None

    def fraction_of_floor(self, matmul_gflop_per_s: float | None) -> float | None:
        """Return the floor over the p50, also the reached share of the product's rate.

        A result above 1 shows a wrong rate: nothing is faster than its own arithmetic.
        """
        floor = self.floor_ms(matmul_gflop_per_s)
        return None if floor is None else floor / self.vision_ms.p50


@dataclass(frozen=True, slots=True)
class StateEntry:
    """Describe the latency of one number of crops on a cold or idle encoder.

    Attributes:
        state: ``cold`` is the first call of a fresh process, with compiling and capturing.
            ``idle`` is a warm encoder after silence.
        silence_s: the silence before each sample; None for ``cold``.
        load_s: the time to load the encoder before a cold call, not part of the samples; None if
            unknown.
    """

    state: State
    silence_s: float | None
    load_s: float | None
    total_crops: int
    vision_ms: Percentiles
    samples_ms: tuple[float, ...]

    @classmethod
    def of(
        cls,
        state: State,
        samples_ms: tuple[float, ...],
        *,
        total_crops: int,
        silence_s: float | None = None,
        load_s: float | None = None,
    ) -> StateEntry:
        """Make an entry from samples. Raises ValueError without samples."""
        times = Percentiles.of(samples_ms)
        return cls(state, silence_s, load_s, total_crops, times, samples_ms)


@dataclass(frozen=True, slots=True)
class MachineState:
    """Describe the machine at one moment; None stands for an unknown value.

    ``clock_probe_ms`` is the time of a fixed amount of scalar work and shows the CPU's clock.
    ``throttle`` names the GPU's reasons to hold its clocks down; () is none.
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
    """Compare the tokens with those of the plain float32 path, as checked while loading."""

    relative_error: float
    min_cosine: float


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """Name the conditions of a saved profile; all must agree before it is used again.

    The kind of weights does not change a latency, but a reader must know it. ``threads`` are those
    of torch on a CPU, and None on a GPU.
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
    """Hold entries by rising ``total_crops``, with the conditions of their measurement.

    Attributes:
        runtime: the way to run the network: ``eager``, ``packed``, ``cuda-graphs``, ``openvino``, …
        versions: of ``python``, ``torch``, ``crop_planner`` and other packages in use.
        measured_at: ISO 8601 in UTC.
        rounds: timed passes of each count. An incomplete count has fewer.
        matmul_gflop_per_s: the device's rate on one large product in ``dtype``.
        copy_gb_per_s: the device's rate of copying its memory, bytes read plus written.
        fidelity: None if unchecked.
        machine_before, machine_after: the machine around the measurement; None if not recorded.
        contended: the reason to doubt the figures, or None. Quote minima and CPU times beside the
            medians of a contended profile.
        states: latencies of a cold or idle encoder; ``entries`` are those of a warm one.
        complete: True if every requested count has its ``rounds``.
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
        """Return the conditions of the measurement; equal keys make profiles interchangeable."""
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
        """Return the seconds since the measurement. ``now`` has a time zone; clocks may differ."""
        return max(0.0, (now - datetime.fromisoformat(self.measured_at)).total_seconds())

    def entry(self, total_crops: int) -> ProfileEntry | None:
        """Find the entry of this count; never an interpolated one."""
        return next((e for e in self.entries if e.total_crops == total_crops), None)

    @property
    def line(self) -> Line | None:
        """Fit the p50 in ms over total crops. A GPU has no line: its latencies form a staircase."""
        if self.device_type != "cpu" or len(self.entries) < FEWEST_FOR_A_LINE:
            return None
        counts = [entry.total_crops for entry in self.entries]
        return fit_line(counts, [entry.vision_ms.p50 for entry in self.entries])


def merged(older: Profile | None, newer: Profile) -> Profile:
    """Add the better entries of an older profile to a newer one of the same conditions.

    An older entry stays where the newer profile lacks its count. It also stays where the newer
    profile was cut short and has fewer passes of its count. Rates, machine and time are those of
    ``newer``. The result is complete only if both parts were, and contended if either was.
    """
    if older is None or older.key != newer.key:
        return newer
    staying = {e.total_crops: e for e in older.entries if not _replaces(newer, e)}
    added = {e.total_crops: e for e in newer.entries if e.total_crops not in staying}
    states = newer.states or older.states
    if not added:
        return replace(older, states=states)
    entries = staying | added
    return replace(
        newer,
        entries=tuple(entries[crops] for crops in sorted(entries)),
        states=states,
        contended=newer.contended or (older.contended if staying else None),
        complete=newer.complete and (older.complete or not staying),
    )


def _replaces(newer: Profile, entry: ProfileEntry) -> bool:
    other = newer.entry(entry.total_crops)
    if other is None:
        return False
    return newer.complete or other.vision_ms.samples >= entry.vision_ms.samples


def continued(older: Profile, newer: Profile) -> Profile:
    """Complete a continued profile with the states, doubts and rates of the older profile.

    An older rate is taken only if ``newer`` has none yet.
    """
    return replace(
        newer,
        matmul_gflop_per_s=newer.matmul_gflop_per_s or older.matmul_gflop_per_s,
        copy_gb_per_s=newer.copy_gb_per_s or older.copy_gb_per_s,
        contended=newer.contended or older.contended,
        states=newer.states or older.states,
    )
