"""Find out if kernels can be compiled on this machine.

Triton compiles one small library in C at its first use and loads the library from its cache, and so
does torch.compile through Triton. A container may lack the compiler, or forbid to write to the
cache or to execute from the cache. Each lack would raise an error in the middle of a pass.
"""

import ctypes
import logging
import os
import shutil
import subprocess
import sysconfig
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

SOURCE = "#include <Python.h>\nint works(void) { return PY_MAJOR_VERSION; }\n"
TIMEOUT_S = 60.0

log = logging.getLogger(__name__)


@cache
def kernels_here() -> ModuleType | None:
    """Import our kernels; return None, and log the reason once, if they cannot be compiled."""
    try:
        kernels = import_module("app.encoder.runtimes.kernels")
        reason = why_no_compiler()
    except ImportError as error:
        reason = str(error)
    if reason is None:
        return kernels
    log.warning("the GPU runs without kernels of our own: %s", reason)
    return None


@cache
def why_no_compiler() -> str | None:
    """Return the reason against compiled kernels in one sentence, or None if they compile.

    The test compiles and loads a library, once in the life of the process.
    """
    return try_compiler(compiler(), cache_folder())


def compiler() -> str | None:
    """Find Triton's C compiler, by name or path; None if there is none."""
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")


def cache_folder() -> Path:
    """Find the folder of Triton's compiled kernels."""
    named = os.environ.get("TRITON_CACHE_DIR")
    if named:
        return Path(named)
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")  # noqa: PTH111  # never raises
    return Path(home, ".triton", "cache")


def try_compiler(command: str | None, folder: Path) -> str | None:
    """Compile a library against Python into ``folder`` and load it; return a failure's reason."""
    if command is None:
        return "there is no C compiler (gcc, clang, or what CC names)"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="try-") as inner:
            return _try_within(command, Path(inner))
    except OSError as error:
        return f"nothing can be written to the cache of kernels: {error}"


def _try_within(command: str, folder: Path) -> str | None:
    source, library = folder / "works.c", folder / "works.so"
    source.write_text(SOURCE)
    include = sysconfig.get_path("include", scheme="posix_prefix")
    arguments = [command, str(source), "-shared", "-fPIC", f"-I{include}", "-o", str(library)]
    try:
        subprocess.run(arguments, capture_output=True, check=True, text=True, timeout=TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        return f"the C compiler {command} cannot compile against Python: {said[0]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the C compiler {command} cannot be run: {error}"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"what is compiled cannot be loaded from the cache of kernels: {error}"
    return None
