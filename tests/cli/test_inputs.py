"""Inputs that commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.inputs import read_bytes
from app.core.errors import MalformedRequest, PayloadTooLarge
from app.settings import Settings


def test_a_file_of_just_the_limit_is_read(tmp_path: Path) -> None:
    """One byte more is too many, with the file's own number of bytes; none is nothing to read."""
    file, settings = tmp_path / "image", Settings(max_upload_bytes=1000)
    file.write_bytes(b"x" * 1000)
    assert len(read_bytes(file, settings)) == 1000
    file.write_bytes(b"x" * 5000)
    with pytest.raises(PayloadTooLarge) as refused:
        read_bytes(file, settings)
    assert refused.value.facts == {"limit": 1000, "actual": 5000}
    file.write_bytes(b"")
    with pytest.raises(MalformedRequest):
        read_bytes(file, settings)
