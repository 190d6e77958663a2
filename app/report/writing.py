"""Files that are whole or not there, whenever the writing ends."""

from __future__ import annotations

import secrets
from pathlib import Path


def check_writable(folder: Path) -> None:
    """Make a folder and see that files can be made in it, before work is done for nothing.

    Raises:
        OSError: they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = _beside(folder / "any")
    temporary.open("xb").close()
    temporary.unlink()


def write_whole(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to ``path``, making its folder; an older file is replaced.

    Readers see the old file or the new one, never a part; so does whoever interrupts. The file gets
    the permissions that any new file gets here. A crash of the whole machine is not provided for.

    Raises:
        OSError: it cannot be written; then nothing of it is left.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    """A new name in the same folder: only within one file system is a file replaced in one step."""
    return path.with_name(f".writing-{secrets.token_hex(8)}.tmp")
