from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from tests.cli.conftest import Run


def tiling_of(file: Path) -> str:
    with Image.open(file) as image:
        size = Size(*image.size)
    return str(make_plan(size, make_config(family_named("molmo-7b-d-0924"))).grid)


def test_the_file_gets_the_target(run: Run, photo: Path) -> None:
    """Beside the image by default, and the image itself is as it was."""
    before = photo.read_bytes()
    result = run("resize", photo, "--target-crops", 4)
    assert result.exit_code == 0
    made = photo.with_name("photo.4crops.jpg")
    assert tiling_of(made) == "2x2"
    assert str(made) in result.stdout
    assert photo.read_bytes() == before


@pytest.mark.parametrize("name", ["out.png", "out.webp", "out.JPEG"])
def test_the_name_decides_the_format(run: Run, photo: Path, name: str) -> None:
    """A file holds what its name says."""
    out = photo.with_name(name)
    assert run("resize", photo, "--tiling", "3x1", "-o", out).exit_code == 0
    assert tiling_of(out) == "3x1"
    with Image.open(out) as image:
        assert image.format == Path(name).suffix[1:].upper()


def test_a_name_of_another_format_is_refused(run: Run, photo: Path) -> None:
    """We write no GIF, and a JPEG must not be called one."""
    out = photo.with_name("out.gif")
    assert run("resize", photo, "--target-crops", 4, "-o", out).exit_code == 2
    result = run(
        "resize", photo, "--target-crops", 4, "-o", photo.with_name("o.png"), "--format", "jpeg"
    )
    assert result.exit_code == 2
    assert list(photo.parent.glob("o*")) == []


def test_json_is_the_decision(run: Run, photo: Path) -> None:
    """The file is written all the same; a dry run writes none."""
    dry = run("resize", photo, "--target-tokens", 600, "--dry-run", "--json")
    assert sorted(path.name for path in photo.parent.glob("photo*")) == ["photo.jpg"]
    wet = run("resize", photo, "--target-tokens", 600, "--json")
    assert dry.stdout == wet.stdout
    answer = json.loads(wet.stdout)
    assert answer["plan"]["tokens"]["prompt"] <= 600
    assert answer["decision"]["quality"] == 95
    with Image.open(photo.with_name("photo.4crops.jpg")) as image:
        assert image.size == (answer["decision"]["width"], answer["decision"]["height"])


def test_an_image_that_meets_the_target_is_copied(run: Run, photo: Path) -> None:
    """Byte for byte, unless another quality is asked for."""
    assert run("resize", photo, "--target-crops", 6).exit_code == 0
    copy = photo.with_name("photo.6crops.jpg")
    assert copy.read_bytes() == photo.read_bytes()
    run("resize", photo, "--target-crops", 6, "--quality", 50, "--force")
    assert copy.read_bytes() != photo.read_bytes()


def test_nothing_is_overwritten_unasked(run: Run, photo: Path) -> None:
    """Not without --force; the image itself not even then."""
    out = photo.with_name("out.jpg")
    out.write_text("precious")
    taken = run("resize", photo, "--target-crops", 4, "-o", out)
    assert taken.exit_code == 2
    assert "--force" in taken.stderr
    assert out.read_text() == "precious"
    assert run("resize", photo, "--target-crops", 4, "-o", out, "--force").exit_code == 0
    assert tiling_of(out) == "2x2"
    before = photo.read_bytes()
    assert run("resize", photo, "--target-crops", 4, "-o", photo, "--force").exit_code == 2
    assert photo.read_bytes() == before


def test_a_folder_that_is_not_there(run: Run, photo: Path) -> None:
    """Said in words."""
    result = run("resize", photo, "--target-crops", 4, "-o", photo.parent / "no" / "out.jpg")
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_an_unreachable_target_lists_what_can_be_reached(run: Run, photo: Path) -> None:
    """As a table for people, as facts for programs."""
    arguments = ("resize", photo, "--target-crops", 7, "--mode", "fit")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "What can be reached" in result.stderr
    assert "fit, pad, crop, stretch" in result.stderr
    problem = json.loads(run(*arguments, "--json").stderr)
    assert problem["status"] == 422
    assert {"crops": 4, "tiling": "2x2"}.items() <= problem["reachable"][3].items()
    assert list(photo.parent.glob("photo.*")) == [photo]


def test_a_target_is_needed(run: Run, photo: Path) -> None:
    """And which there are is said."""
    result = run("resize", photo)
    assert result.exit_code == 2
    assert "--target-crops" in result.stderr
