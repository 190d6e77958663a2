"""Define the answers about a profile without its samples, and about a comparison of two."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.latency.comparison import ComparedCount, ProfileComparison
from app.core.latency.model import ErrorMethod
from app.core.latency.predictions import ProfileInUse
from app.core.latency.profile import Profile, ProfileEntry
from app.core.statistics import Line
from app.schemas.answer import THIS_DEVICE, Mirror, Rounded, mirrored


class PercentilesMs(Mirror):
    p50: Rounded
    p50_low: Rounded = Field(description="95 % interval of the median…")
    p50_high: Rounded = Field(description="…or the range, of fewer than 6 samples.")
    p90: Rounded
    p95: Rounded
    p99: Rounded | None = Field(description="From 500 samples on.")
    mad: Rounded = Field(description="Median absolute deviation.")
    min: Rounded
    max: Rounded
    samples: int


class WarmupAnswer(Mirror):
    calls: int = Field(description="Untimed calls before the timed ones.")
    settled: bool = Field(description="Whether their times had settled by then.")


class ProfileEntryAnswer(BaseModel):
    total_crops: int = Field(description="Crops the encoder ran, the global one included.")
    crops: int = Field(description="Grid crops: one less.")
    rows: int
    cols: int
    patch_tokens: int
    vision_ms: PercentilesMs = Field(description="Patches on the device to tokens on the device.")
    vit_ms: PercentilesMs
    connector_ms: PercentilesMs
    transfer_vision_ms: PercentilesMs | None = Field(description="Pixels on the host to tokens.")
    full_ms: PercentilesMs | None = Field(description="Decoded image to tokens.")
    cpu_ms: PercentilesMs | None = Field(description="CPU time of the process in the passes.")
    gflop: float = Field(description="Needed work of one pass.")
    gflop_per_s: float
    matmul_fraction: float | None = Field(
        description="gflop_per_s per matmul_gflop_per_s, and also floor_ms per p50."
    )
    floor_ms: Rounded | None = Field(description="The work at the rate of a large product.")
    peak_memory_bytes: int | None
    warmup: WarmupAnswer

    @classmethod
    def of(cls, entry: ProfileEntry, matmul_gflop_per_s: float | None) -> ProfileEntryAnswer:
        return mirrored(
            cls,
            entry,
            crops=entry.total_crops - 1,
            gflop=entry.flops / 1e9,
            matmul_fraction=entry.fraction_of_floor(matmul_gflop_per_s),
            floor_ms=entry.floor_ms(matmul_gflop_per_s),
        )


class StateEntryAnswer(Mirror):
    state: str = Field(description="`cold`: first call of a process. `idle`: after silence.")
    silence_s: float | None
    load_s: Rounded | None = Field(description="Loading the encoder, before a cold call.")
    total_crops: int
    vision_ms: PercentilesMs


class FidelityAnswer(Mirror):
    """Compare the runtime with the plain float32 path, on noise."""

    relative_error: float
    min_cosine: float


class MachineStateAnswer(Mirror):
    """Describe the machine at one moment; null is unknown."""

    load_1m: float | None
    steal_percent: float | None
    clock_probe_ms: float | None = Field(description="A fixed amount of scalar work.")
    memory_available_bytes: int | None
    driver: str | None
    sm_clock_mhz: float | None
    sm_clock_max_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None
    power_limit_w: float | None
    temperature_c: float | None
    throttle: tuple[str, ...] = Field(description="Why the GPU holds its clocks down.")


class LineAnswer(BaseModel):
    """Fit p50 over total crops by least squares."""

    slope_ms: Rounded = Field(description="For each further crop.")
    intercept_ms: Rounded
    r2: float

    @classmethod
    def of(cls, line: Line) -> LineAnswer:
        return cls(slope_ms=line.slope, intercept_ms=line.intercept, r2=line.r2)


class ProfileAnswer(BaseModel):
    """Give the measured latency per number of crops, and the conditions of its measurement."""

    model: str
    device: str
    device_type: str
    dtype: str
    runtime: str = Field(description="How the network is run, such as `eager`.")
    weights: str
    overlap_margins: tuple[int, int]
    threads: int
    versions: dict[str, str]
    measured_at: str
    rounds: int = Field(description="Timed passes of each count that were asked for.")
    matmul_gflop_per_s: float | None
    copy_gb_per_s: float | None
    fidelity: FidelityAnswer | None
    machine_before: MachineStateAnswer | None
    machine_after: MachineStateAnswer | None
    contended: str | None = Field(description="Why the figures should be doubted.")
    line: LineAnswer | None = Field(description="On a CPU only: a GPU's curve is a staircase.")
    states: tuple[StateEntryAnswer, ...] = Field(description="Cold and idle; entries are warm.")
    complete: bool
    entries: list[ProfileEntryAnswer]

    @classmethod
    def of(cls, profile: Profile) -> ProfileAnswer:
        rate = profile.matmul_gflop_per_s
        line = LineAnswer.of(profile.line) if profile.line else None
        entries = [ProfileEntryAnswer.of(entry, rate) for entry in profile.entries]
        return mirrored(cls, profile, line=line, entries=entries)


class ProfileSummary(Mirror):
    """Name the profile behind figures."""

    model: str
    device: str
    dtype: str
    runtime: str
    weights: str
    measured_at: str
    matmul_gflop_per_s: float | None
    contended: str | None
    complete: bool


class TableProfile(ProfileSummary):
    """Name the profile behind a table. Its age is left out: a client may cache the table."""

    this_device: bool | None = Field(None, description=THIS_DEVICE)


class ErrorSpreadAnswer(Mirror):
    """Summarise the relative errors over the counts, without their signs."""

    median: float
    max: float


class ModelErrorAnswer(Mirror):
    """Compare predictions with measurements outside of their own data."""

    method: ErrorMethod = Field(
        description="`leave-one-count-out`: each count between others, predicted from them. "
        "`half-against-half`: half of a count's passes, predicted from the other half."
    )
    p50: ErrorSpreadAnswer
    p95: ErrorSpreadAnswer
    counts: int = Field(description="Counts that were predicted.")


class DriftAnswer(Mirror):
    """Compare live measurements (`latency=measure`) of the last minutes with the profile."""

    ratio: float | None = Field(description="Median of measured over predicted p50.")
    measurements: int
    factor: float | None = Field(
        description="By what predictions are multiplied; null: not corrected, too few measurements."
    )


class Trust(Mirror):
    """Tell the trust in a profile at the moment of the answer."""

    age_s: Rounded = Field(description="Since it was measured.")
    error: ModelErrorAnswer | None = Field(description="Of the profile's own predictions.")
    drift: DriftAnswer
    this_device: bool | None = Field(description=THIS_DEVICE)


class ProfileInUseAnswer(ProfileAnswer, Trust):
    """Give the whole profile in use."""

    @classmethod
    def of_use(cls, use: ProfileInUse) -> ProfileInUseAnswer:
        return cls(**dict(ProfileAnswer.of(use.profile)), **dict(mirrored(Trust, use)))


class ProfileInUseSummary(ProfileSummary, Trust):
    """Name the profile in use, with its age at the moment of the answer."""

    @classmethod
    def of_use(cls, use: ProfileInUse) -> ProfileInUseSummary:
        return cls(**dict(mirrored(ProfileSummary, use.profile)), **dict(mirrored(Trust, use)))


class ComparedSide(Mirror):
    """Give the figures of one profile for a count."""

    vision_ms: PercentilesMs
    cpu_ms: PercentilesMs | None
    gflop_per_s: float


class ComparedCountAnswer(BaseModel):
    total_crops: int
    a: ComparedSide
    b: ComparedSide
    ratio: Rounded = Field(description="p50 of A per p50 of B.")
    low: Rounded = Field(description="Its 95 % interval, by bootstrap…")
    high: Rounded
    samples: int = Field(description="Of the profile that has fewer.")
    differs: bool = Field(description="The interval excludes 1, and rests on 6 samples or more.")
    verdict: str
    same_work: bool = Field(description="Whether both needed the same arithmetic.")

    @classmethod
    def of(cls, count: ComparedCount) -> ComparedCountAnswer:
        found = count.comparison
        return mirrored(
            cls,
            found,
            total_crops=count.total_crops,
            a=count.a,
            b=count.b,
            verdict=found.verdict(),
            same_work=count.same_work,
        )


class DifferenceAnswer(Mirror):
    name: str
    a: str | None
    b: str | None


class ProfileComparisonAnswer(BaseModel):
    """Compare profile A with profile B, count by count."""

    a: ProfileSummary
    b: ProfileSummary
    differences: list[DifferenceAnswer] = Field(description="Conditions that are not the same.")
    counts: list[ComparedCountAnswer]

    @classmethod
    def of(cls, comparison: ProfileComparison) -> ProfileComparisonAnswer:
        counts = [ComparedCountAnswer.of(count) for count in comparison.counts]
        return mirrored(cls, comparison, counts=counts)
