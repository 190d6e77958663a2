"""Profiles in a folder: saved whole, found again, and refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.profiles import full_profile

from app.core.errors import InvalidProfile
from app.core.latency.profile import Profile
from app.profiles import load_profile, newest_profile, save_profile

PROFILE = full_profile()


def test_saving_and_loading(tmp_path: Path) -> None:
    """A saved profile is loaded again, a second one replaces it, and nothing else is left over."""
    path = save_profile(PROFILE, tmp_path / "new")
    assert load_profile(path) == PROFILE
    newer = replace(PROFILE, complete=False)
    assert save_profile(newer, tmp_path / "new") == path
    assert load_profile(path) == newer
    assert list((tmp_path / "new").iterdir()) == [path]


def test_a_profile_of_nothing_is_not_saved(tmp_path: Path) -> None:
    """It would take the place of one that says something."""
    path = save_profile(PROFILE, tmp_path)
    with pytest.raises(InvalidProfile, match="nothing"):
        save_profile(replace(PROFILE, entries=()), tmp_path)
    assert load_profile(path) == PROFILE


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see the old profile or the new one, never half of one."""
    path = save_profile(PROFILE, tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("app.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_profile(replace(PROFILE, complete=False), tmp_path)
    assert load_profile(path) == PROFILE
    assert list(tmp_path.iterdir()) == [path]


def test_the_newest_profile_of_these_margins_is_found(tmp_path: Path) -> None:
    """However the network was run; of other margins only if there is none of these."""
    asked: dict[str, Any] = {"device": PROFILE.device, "weights": "random", "dtype": "bfloat16"}

    def newest(*margins: int) -> Profile | None:
        asked["overlap_margins"] = margins
        return newest_profile(tmp_path, model=PROFILE.model, **asked)

    assert newest(4, 4) is None
    older = replace(PROFILE, measured_at="2025-01-02T00:00:00+00:00", runtime="eager")
    newer = replace(PROFILE, measured_at="2025-01-03T00:00:00+00:00")
    other = replace(PROFILE, measured_at="2025-01-04T00:00:00+00:00", overlap_margins=(4, 2))
    elsewhere = replace(other, device=PROFILE.device + " 2", overlap_margins=(4, 4))
    trained = replace(other, weights="checkpoint", overlap_margins=(4, 4))
    for made in (older, newer, other, elsewhere, trained):
        save_profile(made, tmp_path)
    assert newest(4, 4) == newer
    assert newest(4, 2) == newest(2, 2) == other


def test_an_unreadable_file_is_no_profile(tmp_path: Path) -> None:
    """Absent or not text: the same error as for a damaged profile."""
    with pytest.raises(InvalidProfile, match="cannot read absent"):
        load_profile(tmp_path / "absent.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidProfile, match="cannot read bytes"):
        load_profile(tmp_path / "bytes.json")


def test_what_is_wrong_with_a_file_is_told_with_its_name(tmp_path: Path) -> None:
    """Two of them may be read at once."""
    (tmp_path / "old.json").write_text('{"schema_version": 1}')
    with pytest.raises(InvalidProfile, match=r"^old\.json: schema_version: 1 is not"):
        load_profile(tmp_path / "old.json")
