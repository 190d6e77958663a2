from __future__ import annotations

import torch

from app.encoder.device.device import fastest_threads, thread_candidates, use_fastest_threads


def test_all_cores_are_used_unless_fewer_are_clearly_faster() -> None:
    """Noise takes no core away; cores that are in each other's way do."""
    assert fastest_threads({4: [1.0, 2.0], 2: [0.98, 0.97]}) == 4
    assert fastest_threads({4: [1.0, 2.0], 2: [0.9, 3.0]}) == 2


def test_candidates_are_what_there_is() -> None:
    """Never more threads than cores, and never none."""
    assert [thread_candidates(cores) for cores in (1, 2, 16)] == [(1,), (2, 1), (16, 8)]


def test_a_number_that_was_asked_for_is_used() -> None:
    """Without measuring anything."""
    before = torch.get_num_threads()
    try:
        assert use_fastest_threads(torch.float32, threads=1) == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
