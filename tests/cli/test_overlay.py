"""``crop-planner overlay``: pictures of a plan as files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run


@pytest.mark.parametrize("kind", ["crops", "comparison", "statistics", "coverage"])
def test_a_picture_is_written_beside_the_image(run: Run, photo: Path, kind: str) -> None:
    """Named for its kind; the image stays as it was, and what it costs is said."""
    before = photo.read_bytes()
    result = run("overlay", photo, "--kind", kind, "--side-px", 300)
    assert result.exit_code == 0, result.stderr
    made = photo.with_name(f"photo.{kind}.png")
    with Image.open(made) as image:
        assert image.format == "PNG"
    assert str(made) in result.stdout
    assert "2x3" in result.stdout
    assert "740 prompt tokens" in result.stdout
    assert photo.read_bytes() == before


def test_a_size_is_drawn_without_a_file(run: Run, tmp_path: Path) -> None:
    """On a plain ground, with the configuration of the options."""
    out = tmp_path / "size.png"
    options = ("--model", "molmo2-8b", "--max-crops", 4, "--side-px", 300)
    result = run("overlay", "640x480", "-o", out, *options)
    assert result.exit_code == 0, result.stderr
    assert "2x2" in result.stdout
    with Image.open(out) as image:
        assert image.width > 300


def test_a_size_is_written_here_by_default(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named for the size and the kind."""
    monkeypatch.chdir(tmp_path)
    assert run("overlay", "640x480", "--side-px", 300, "--format", "svg").exit_code == 0
    assert [path.name for path in tmp_path.glob("*.svg")] == ["640x480.crops.svg"]


def test_the_name_decides_the_format(run: Run, photo: Path) -> None:
    """A file holds what its name says; a name of another format is refused."""
    out = photo.with_name("out.svg")
    assert run("overlay", photo, "-o", out, "--side-px", 300).exit_code == 0
    assert ET.fromstring(out.read_text()).tag.endswith("svg")
    for name in ("other.jpg", "other.gif"):
        refused = run("overlay", photo, "-o", photo.with_name(name))
        assert refused.exit_code == 2
        assert "it would hold png" in " ".join(refused.stderr.split())
    assert run("overlay", photo, "-o", photo.with_name("a.png"), "--format", "svg").exit_code == 2
    assert sorted(path.name for path in photo.parent.glob("*.*")) == ["out.svg", "photo.jpg"]


def test_nothing_is_overwritten_unasked(run: Run, photo: Path) -> None:
    """Not without --force; the image itself not even then."""
    out = photo.with_name("out.png")
    out.write_text("precious")
    taken = run("overlay", photo, "-o", out)
    assert taken.exit_code == 2
    assert "--force" in taken.stderr
    assert out.read_text() == "precious"
    assert run("overlay", photo, "-o", out, "--force", "--side-px", 300).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    drawing = out.read_bytes()
    assert run("overlay", out, "-o", out, "--force").exit_code == 2
    assert out.read_bytes() == drawing


def test_what_cannot_be_drawn_is_said(run: Run, photo: Path) -> None:
    """Neither a file nor a size; a side out of bounds; no image; and nothing is written."""
    for no_file in (photo.with_name("missing.jpg"), "."):
        missing = run("overlay", no_file)
        assert missing.exit_code == 2
        assert "neither a file nor a size" in " ".join(missing.stderr.split())
    large = run("overlay", photo, "--side-px", 9999)
    assert large.exit_code == 2
    assert "between 200 and 4096, got 9999" in large.stderr
    text = photo.with_name("text.jpg")
    text.write_text("no image")
    assert run("overlay", text).exit_code != 0
    assert run("overlay", photo.parent).exit_code == 2
    assert list(photo.parent.glob("*.png")) == []
