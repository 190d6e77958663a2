"""Settings: what follows from several of them."""

import pytest

from app import settings as module
from app.settings import Settings


@pytest.mark.parametrize(
    ("asked", "cores", "workers"),
    [(None, 1, 1), (None, 4, 4), (None, 64, 4), (64, 2, 64), (1, 8, 1)],
)
def test_workers_are_one_a_core_up_to_four_or_as_many_as_are_asked_for(
    asked, cores, workers, monkeypatch
):
    """Memory grows with them, so a machine of many cores must not choose by itself."""
    monkeypatch.setattr(module, "available_cores", lambda: cores)
    assert Settings(image_workers=asked).workers == workers
