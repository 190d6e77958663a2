"""Two profiles of the same conditions as one."""

from __future__ import annotations

from dataclasses import replace

from app.core.latency.profile import Profile
from app.core.latency.profile_entry import ProfileEntry


def merged(older: Profile | None, newer: Profile) -> Profile:
    """``newer``, with the entries of ``older`` for counts that it lacks or has fewer passes of.

    A count that was measured in full is newer however few its passes are; one of a measurement that
    was cut short does not replace what more passes have shown. Rates, machine and time are those of
    ``newer``. It is complete only if all that it is made of was, and contended if any of it was. An
    older profile that was measured under other conditions adds nothing.
    """
    if older is None or not older.matches(newer.key):
        return newer
    kept = {e.total_crops: e for e in older.entries if not _replaces(newer, e)}
    added = {e.total_crops: e for e in newer.entries if e.total_crops not in kept}
    states = newer.states or older.states
    if not added:
        return replace(older, states=states)
    entries = kept | added
    return replace(
        newer,
        entries=tuple(entries[crops] for crops in sorted(entries)),
        states=states,
        contended=newer.contended or (older.contended if kept else None),
        complete=newer.complete and (older.complete or not kept),
    )


def continued(older: Profile, newer: Profile) -> Profile:
    """``newer``, whose entries go on with samples of ``older``: what was said of those still holds.

    That is its states and its doubts, and its rates where ``newer`` has none yet.
    """
    return replace(
        newer,
        matmul_gflop_per_s=newer.matmul_gflop_per_s or older.matmul_gflop_per_s,
        copy_gb_per_s=newer.copy_gb_per_s or older.copy_gb_per_s,
        contended=newer.contended or older.contended,
        states=newer.states or older.states,
    )


def _replaces(newer: Profile, entry: ProfileEntry) -> bool:
    other = newer.entry(entry.total_crops)
    if other is None:
        return False
    return newer.complete or other.vision_ms.samples >= entry.vision_ms.samples
