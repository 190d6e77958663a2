"""Fail the build of an image whose torch is built for another CUDA version than the wanted one."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path


def main(wanted: str) -> None:
    """Compare ``wanted`` (``13.0``) with the installed torch; anything will do where it is empty.

    torch itself is not imported: that takes seconds, and its version file is plain Python.
    """
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        sys.exit("torch is not installed")
    version = runpy.run_path(str(Path(spec.origin).with_name("version.py")))
    found = version["cuda"]
    if wanted and found != wanted:
        built = f"for CUDA {found}" if found else "without CUDA"
        sys.exit(f"torch {version['__version__']} is built {built}, but {wanted} is wanted")


if __name__ == "__main__":
    main(sys.argv[1])
