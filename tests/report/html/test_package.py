from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_file_that_the_package_reads_is_in_a_wheel():
    """Templates and pages are no Python, so a wheel has only what pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["app"]
    named = {file for pattern in patterns for file in (ROOT / "app").glob(pattern)}
    files = {file for file in (ROOT / "app").rglob("*") if file.is_file()}
    assert {file for file in files if file.suffix not in (".py", ".pyc")} == named
