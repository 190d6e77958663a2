"""Compare two profiles: the latency of every common count, and the conditions.

The profiles were measured one after the other. A change of the machine in between is part of the
ratios and not of their intervals. Measure variants of one machine in shuffled rounds instead, and
pair the rounds (:meth:`app.core.statistics.Comparison.paired`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.latency.profile import Profile, ProfileEntry
from app.core.statistics import Comparison

CONDITIONS = (
    "model", "device", "device_type", "dtype", "runtime", "weights", "overlap_margins", "threads",
    "versions", "rounds", "contended", "complete",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """Name a condition with different values in the two profiles; None is an absent value."""

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class ComparedCount:
    """Compare ``vision_ms`` of A and B, unpaired, at one common number of crops."""

    a: ProfileEntry
    b: ProfileEntry
    comparison: Comparison

    @property
    def total_crops(self) -> int:
        return self.a.total_crops

    @property
    def same_work(self) -> bool:
        """Return True if both needed the same arithmetic: equal network, grid size and margins."""
        return self.a.flops == self.b.flops


@dataclass(frozen=True, slots=True)
class ProfileComparison:
    """Hold the common counts by rising ``total_crops``, and the different conditions."""

    a: Profile
    b: Profile
    counts: tuple[ComparedCount, ...]
    differences: tuple[Difference, ...]


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Compare two profiles at every common number of crops; there may be none."""
    pairs = ((of_a, b.entry(of_a.total_crops)) for of_a in a.entries)
    counts = tuple(_compare(of_a, of_b) for of_a, of_b in pairs if of_b is not None)
    return ProfileComparison(a, b, counts, tuple(_differences(a, b)))


def _compare(a: ProfileEntry, b: ProfileEntry) -> ComparedCount:
    return ComparedCount(a, b, Comparison.unpaired(a.samples_ms.vision, b.samples_ms.vision))


def _differences(a: Profile, b: Profile) -> Iterator[Difference]:
    of_a, of_b = _conditions(a), _conditions(b)
    for name in {**of_a, **of_b}:
        if of_a.get(name) != of_b.get(name):
            yield Difference(name, of_a.get(name), of_b.get(name))


def _conditions(profile: Profile) -> dict[str, str | None]:
    """Map every condition to its text, the versions one by one."""
    told: dict[str, str | None] = {}
    for name in CONDITIONS:
        value = getattr(profile, name)
        if name == "versions":
            told |= {f"versions.{part}": version for part, version in value.items()}
        else:
            told[name] = None if value is None else str(value)
    return told
