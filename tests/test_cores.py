"""The cores a process may use."""

import pytest

from app import cores as module


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 64), ("150000 100000", 2)])
def test_a_container_has_the_cores_it_was_given(
    limit: str, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """A quota of one and a half cores keeps two busy; no quota limits nothing."""
    quota = tmp_path / "cpu.max"
    quota.write_text(limit)
    monkeypatch.setattr(module, "CPU_QUOTA", quota)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(64)))
    assert module.available_cores() == cores
