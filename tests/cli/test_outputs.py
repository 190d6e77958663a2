"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from app.cli.outputs import write_output


def test_a_file_that_came_after_the_check_is_not_overwritten(tmp_path: Path) -> None:
    """Another process may write it meanwhile; --force takes that, too."""
    file = tmp_path / "out.png"
    file.write_bytes(b"another's")
    with pytest.raises(typer.BadParameter, match="exists"):
        write_output(file, b"ours", force=False)
    assert file.read_bytes() == b"another's"
    write_output(file, b"ours", force=True)
    assert file.read_bytes() == b"ours"
