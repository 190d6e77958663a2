"""Whether kernels can be compiled: found by doing it, and told in one sentence if not."""

import shutil
import sysconfig
from pathlib import Path

import pytest

from app.encoder.runtimes import compiler
from app.encoder.runtimes.compiler import cache_folder, try_compiler, why_no_compiler

HEADERS = Path(sysconfig.get_path("include", scheme="posix_prefix"), "Python.h")


def script(folder: Path, body: str) -> str:
    """A make-believe compiler, called with the arguments of a real one; its output is the last."""
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(
    compiler.compiler() is None or not HEADERS.exists(), reason="no compiler or no headers here"
)
def test_a_compiler_and_a_folder_that_work_are_no_reason_and_leave_nothing_behind(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert try_compiler(compiler.compiler(), folder) is None
    assert list(folder.iterdir()) == []


def test_without_a_compiler_the_reason_is_that_there_is_none(tmp_path):
    reason = try_compiler(None, tmp_path)
    assert reason == "there is no C compiler (gcc, clang, or what CC names)"


def test_a_compiler_that_is_not_there_is_named(tmp_path):
    reason = try_compiler(str(tmp_path / "gone"), tmp_path)
    assert reason is not None
    assert f"{tmp_path / 'gone'} cannot be run" in reason


def test_the_first_line_that_a_failing_compiler_says_is_the_reason(tmp_path):
    cc = script(tmp_path, "echo 'Python.h: No such file' >&2; echo 'and more' >&2; exit 1")
    reason = try_compiler(cc, tmp_path / "cache")
    assert reason == f"the C compiler {cc} cannot compile against Python: Python.h: No such file"


def test_a_compiler_that_fails_without_a_word_is_told_by_its_exit_code(tmp_path):
    reason = try_compiler(script(tmp_path, "exit 3"), tmp_path / "cache")
    assert reason is not None
    assert reason.endswith("exit code 3")


def test_a_compiler_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "TIMEOUT_S", 0.2)
    reason = try_compiler(script(tmp_path, "exec sleep 60"), tmp_path / "cache")
    assert reason is not None
    assert "cannot be run" in reason
    assert "timed out" in reason


def test_a_cache_that_cannot_be_made_is_the_reason(tmp_path):
    (tmp_path / "file").touch()
    reason = try_compiler(script(tmp_path, "exit 0"), tmp_path / "file" / "cache")
    assert reason is not None
    assert reason.startswith("nothing can be written to the cache of kernels: ")


def test_the_library_is_put_where_kernels_will_be(tmp_path):
    """Another folder may allow what the cache does not."""
    cc = script(tmp_path, 'for last in "$@"; do :; done; echo "$last" >&2; exit 1')
    reason = try_compiler(cc, tmp_path / "cache")
    assert reason is not None
    assert f": {tmp_path / 'cache'}/" in reason


def test_a_library_that_cannot_be_loaded_from_the_cache_is_the_reason(tmp_path):
    """As on a file system that is mounted noexec; here the library is no library."""
    writes = 'for last in "$@"; do :; done; echo no library >"$last"'
    reason = try_compiler(script(tmp_path, writes), tmp_path / "cache")
    assert reason is not None
    assert reason.startswith("what is compiled cannot be loaded from the cache of kernels: ")


def test_the_reason_has_one_line(tmp_path):
    cc = script(tmp_path, "printf 'first\\nsecond\\n' >&2; exit 1")
    for command in (None, cc, str(tmp_path / "gone")):
        reason = try_compiler(command, tmp_path / "cache")
        assert reason
        assert "\n" not in reason


def test_the_compiler_is_the_one_that_triton_takes(tmp_path, monkeypatch):
    """CC before gcc, gcc before clang, as in Triton's runtime/build.py."""
    found = {"gcc": "/usr/bin/gcc", "clang": "/usr/bin/clang"}
    monkeypatch.setattr(shutil, "which", found.get)
    monkeypatch.setenv("CC", "tcc")
    assert compiler.compiler() == "tcc"
    monkeypatch.delenv("CC")
    assert compiler.compiler() == "/usr/bin/gcc"
    del found["gcc"]
    assert compiler.compiler() == "/usr/bin/clang"
    del found["clang"]
    assert compiler.compiler() is None


def test_the_cache_is_where_triton_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    monkeypatch.delenv("TRITON_HOME", raising=False)
    assert cache_folder() == tmp_path / "home" / ".triton" / "cache"
    monkeypatch.setenv("TRITON_HOME", str(tmp_path / "triton"))
    assert cache_folder() == tmp_path / "triton" / ".triton" / "cache"
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"


def test_the_cache_is_the_one_of_the_triton_that_is_installed():
    knobs = pytest.importorskip("triton", reason="Triton is not installed").knobs
    assert cache_folder() == Path(knobs.cache.dir)


def test_it_is_found_out_once(tmp_path, monkeypatch):
    """Compiling takes a tenth of a second, and every runtime that is tried may ask."""
    why_no_compiler.cache_clear()
    cc = script(tmp_path, f"echo called >>{tmp_path / 'calls'}; exit 1")
    monkeypatch.setenv("CC", cc)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    try:
        assert why_no_compiler() == why_no_compiler() is not None
    finally:
        why_no_compiler.cache_clear()
    assert (tmp_path / "calls").read_text().split() == ["called"]
