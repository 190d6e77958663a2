"""The structure of ``app``: who imports whom, and names that are used once."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

APP = Path(__file__).parents[1] / "app"

LIBRARIES = {
    "core": set(),
    # skimage: SSIM. matplotlib: pictures of plans. Both are imported at their first use.
    "imaging": {"PIL", "numpy", "cykooz_resizer", "skimage", "matplotlib"},
    # PIL reads the photo that runtimes are tried on. psutil and pynvml are optional.
    "encoder": {"torch", "numpy", "safetensors", "openvino", "triton", "PIL", "psutil", "pynvml"},
    "prefill": {"httpx"},
}
"""All that a package may import besides ``app`` and the standard library.

A machine without FastAPI and pydantic can plan, read images and measure the encoder.
"""


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {module.partition(".")[0] for module in plain + named}


def test_imports_keep_the_contracts(monkeypatch, capsys):
    """Layers, no circle, control and latency apart: the contracts are in ``pyproject.toml``."""
    monkeypatch.chdir(APP.parent)
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize("package", list(LIBRARIES))
def test_a_package_imports_its_libraries_alone(package):
    for file in (APP / package).rglob("*.py"):
        outside = imported(file) - {"app"} - sys.stdlib_module_names
        assert outside <= LIBRARIES[package], file


@pytest.mark.parametrize("package", sorted(p.name for p in APP.iterdir() if p.is_dir()))
def test_a_package_names_nothing_twice(package):
    """No class twice in a package."""
    classes = Counter(
        node.name
        for file in (APP / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in classes.items() if count > 1] == []


@pytest.mark.parametrize("package", sorted(p.name for p in APP.iterdir() if p.is_dir()))
def test_a_package_names_no_file_twice(package):
    files = Counter(file.stem for file in (APP / package).rglob("*.py") if file.stem != "__init__")
    assert [name for name, count in files.items() if count > 1] == []
