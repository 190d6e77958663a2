"""Files are whole or not there."""

import pytest

from app.files import write_whole


def test_the_file_holds_what_was_given_and_nothing_else_is_left(tmp_path):
    """Text as UTF-8, bytes as they are; the folder is made."""
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError, MemoryError])
def test_an_interruption_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, interruption):
    """Whenever it comes: here just before the new file would take the old one's place."""
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupt(*_):
        raise interruption

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(interruption):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
