"""The choice of images that are examined."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.report.choose import choose, find_candidates, plan_images
from app.report.dataset.images import open_dataset

CONFIG = make_config(family_named("molmo-7b-d-0924"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of one tiling, of which decoding refuses the first three."""
    for index in range(5):
        file = tmp_path / f"{index}.png"
        Image.effect_noise((64, 48), 50).save(file)
        if index < 3:
            damaged = bytearray(file.read_bytes())
            damaged[len(damaged) // 2] ^= 255
            file.write_bytes(damaged)
    return tmp_path


def test_damaged_images_make_room_for_others_and_count_in_the_progress(folder: Path) -> None:
    """More images are checked than were asked for, and the total rises with them."""
    dataset = open_dataset(folder, max_pixels=10_000)
    plans, _ = plan_images(dataset, CONFIG)
    told: list[tuple[int, int]] = []
    chosen, _, damaged = choose(
        find_candidates(dataset, plans, None)[0],
        None,
        2,
        12,
        max_pixels=10_000,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [one.image.file_name for one in chosen] == ["3.png", "4.png"]
    assert [one.name for one in damaged] == ["0.png", "1.png", "2.png"]
    assert told == [(1, 2), (2, 2), (3, 3), (4, 4), (5, 5)]
