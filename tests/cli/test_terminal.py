"""What commands print besides their answers."""

from __future__ import annotations

import pytest

from app.cli.terminal import MOST_SHOWN, print_skipped
from app.report.dataset.images import Skipped


@pytest.mark.parametrize(("number", "more"), [(MOST_SHOWN, None), (MOST_SHOWN + 2, "2 more")])
def test_the_first_skipped_images_are_named(
    number: int, more: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the others counted, where there are any."""
    print_skipped([Skipped(f"{index}.jpg", "damaged") for index in range(number)])
    told = capsys.readouterr().err
    assert f"{number} images skipped:" in told
    assert told.count(".jpg: damaged") == MOST_SHOWN
    assert (more in told) if more else ("more" not in told)


def test_nothing_skipped_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    print_skipped([])
    assert capsys.readouterr() == ("", "")
