"""Write files that are whole or absent after any interruption."""

import os
import secrets
from pathlib import Path


def check_writable(folder: Path) -> None:
    """Make a folder and try to create a file in it, before long work for its files begins.

    Raises:
        OSError: the folder or the file cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = _beside(folder / "any")
    temporary.open("xb").close()
    temporary.unlink()


def write_whole(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to ``path`` in one step, replacing an older file.

    Readers see the old file or the new one, never a part, even after a crash of the machine. The
    folder is made if absent. The permissions are those of any new file here.

    Raises:
        OSError: the file cannot be written; nothing of it is left.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise a crash could leave the new name with no content
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    """Make up a name in the same folder: a rename in one step needs the same file system."""
    return path.with_name(f".writing-{secrets.token_hex(8)}.tmp")
