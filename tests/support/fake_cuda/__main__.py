"""Run something on the make-believe GPU, from the root of the repository.

    python -m tests.support.fake_cuda --check                       all that is checked on it
    python -m tests.support.fake_cuda --pytest FILE …               tests that need a GPU
    python -m tests.support.fake_cuda -m benchmarks.fidelity …      a module
    python -m tests.support.fake_cuda -m app.cli serve              the service

The exit code is 0 only if what runs succeeds and breaks no law of CUDA. FAKE_CUDA_CAPABILITY=7.5
makes it a T4, FAKE_CUDA_GIB=16 a small card, FAKE_CUDA_FULL=1 keeps the families at their full
size. SIGUSR1 breaks the context.
"""

from __future__ import annotations

import os
import runpy
import sys

CHECKS = ("tests/encoder/test_make_believe_gpu.py", "tests/server/test_make_believe_gpu.py")


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--check"]:  # the tests start the processes that pretend
            import pytest

            return int(pytest.main(["-v", *CHECKS]))
        case ["--pytest", *files]:
            return _pretend(lambda: _test(files))
        case ["-m", module, *rest]:
            return _pretend(lambda: _run(module, rest))
    print(__doc__)
    return 2


def _pretend(work) -> int:
    from .install import install
    from .state import report

    install()
    if not os.environ.get("FAKE_CUDA_FULL"):
        from .small_families import shrink

        shrink()
    code = work()
    return code or report()


def _test(files: list[str]) -> int:
    """Without the project's configuration and fixtures, as on a bare GPU machine."""
    import pytest

    bare = "-c /dev/null --rootdir . --noconftest -p no:cacheprovider --import-mode=importlib"
    return int(pytest.main(["-q", "-ra", *bare.split(), *files]))


def _run(module: str, arguments: list[str]) -> int:
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as done:
        if isinstance(done.code, str):
            print(done.code, file=sys.stderr)
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


sys.exit(main(sys.argv[1:]))
