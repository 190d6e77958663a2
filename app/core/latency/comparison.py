"""Two profiles held against each other: which counts take longer in which, and what else differs.

They were measured one after the other, so what the machine did in between is part of the ratio and
not of its interval. To compare variants of one machine, measure them in shuffled rounds and pair
them (:meth:`app.core.statistics.Comparison.paired`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.latency.profile import Profile
from app.core.latency.profile_entry import ProfileEntry
from app.core.statistics import Comparison

CONDITIONS = (
    "model", "device", "device_type", "dtype", "runtime", "weights", "overlap_margins", "threads",
    "versions", "rounds", "contended", "complete",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition that is not the same in both; None where a profile does not have it."""

    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class ComparedCount:
    """A number of crops that both measured. ``vision_ms`` of A over that of B, unpaired."""

    a: ProfileEntry
    b: ProfileEntry
    comparison: Comparison

    @property
    def total_crops(self) -> int:
        return self.a.total_crops

    @property
    def same_work(self) -> bool:
        """Whether both needed the same arithmetic: the same network, grid size and margins."""
        return self.a.flops == self.b.flops


@dataclass(frozen=True, slots=True)
class ProfileComparison:
    """Counts by rising ``total_crops``, and the conditions that differ."""

    a: Profile
    b: Profile
    counts: tuple[ComparedCount, ...]
    differences: tuple[Difference, ...]


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Compare every number of crops that both profiles measured, which may be none."""
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
    """Every condition by its name, as text; versions one by one."""
    told: dict[str, str | None] = {}
    for name in CONDITIONS:
        value = getattr(profile, name)
        if name == "versions":
            told |= {f"versions.{part}": version for part, version in value.items()}
        else:
            told[name] = None if value is None else str(value)
    return told
