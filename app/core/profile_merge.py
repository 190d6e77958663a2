"""Two profiles of the same conditions as one."""

from __future__ import annotations

from dataclasses import replace

from app.core.profile import Profile


def merged(older: Profile | None, newer: Profile) -> Profile:
    """``newer``, with the entries of ``older`` for counts that it lacks.

    Rates, machine and time are those of ``newer``. It is complete only if both were, and contended
    if either was, unless nothing of ``older`` remains. An older profile that was measured under
    other conditions adds nothing.
    """
    if older is None or not older.matches(newer.key):
        return newer
    kept = [entry for entry in older.entries if newer.entry(entry.total_crops) is None]
    entries = sorted([*kept, *newer.entries], key=lambda entry: entry.total_crops)
    return replace(
        newer,
        entries=tuple(entries),
        states=newer.states or older.states,
        contended=newer.contended or (older.contended if kept else None),
        complete=newer.complete and (older.complete or not kept),
    )
