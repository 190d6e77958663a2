"""The lock in requirements/ is complete, has hashes, and agrees with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {"run": [], "openvino": EXTRAS["openvino"], "dev": EXTRAS["dev"]}

[TORCH] = [line for line in PROJECT["dependencies"] if line.startswith("torch==")]


def lines(name: str) -> list[str]:
    """Return the entries of a lock, each with its hashes on one line."""
    text = (FOLDER / f"{name}.txt").read_text()
    joined = re.sub(r"\s*#.*", "", text).replace("\\\n", "")
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def entries(name: str) -> list[Requirement]:
    return [Requirement(line.partition(" --hash")[0]) for line in lines(name)]


def pins(requirements: list[Requirement]) -> set[tuple[str, str]]:
    return {(canonicalize_name(one.name), str(one.specifier)) for one in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_is_one_version_with_its_hashes(name):
    assert lines(name)
    for line in lines(name):
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; [^-]+)?( --hash=sha256:[0-9a-f]{64})+", line), line


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_but_torch_is_locked_at_its_pin(name):
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + LOCKS[name]]
    assert pins(wanted) - pins(entries(name)) == pins([Requirement(TORCH)])


def test_the_torch_that_stands_apart_is_the_pinned_one():
    assert lines("torch") == [TORCH]
    [metadata] = tomllib.loads((FOLDER / "uv.toml").read_text())["dependency-metadata"]
    assert f"{metadata['name']}=={metadata['version']}" == TORCH


def test_the_images_install_the_versions_that_are_tested():
    assert set(lines("run")) <= set(lines("openvino")) <= set(lines("dev"))


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_has_the_tools_that_build_the_service(name):
    """The service is built without an index, by what is installed from the lock."""
    locked = {canonicalize_name(one.name): one.specifier for one in entries(name)}
    for needed in map(Requirement, PYPROJECT["build-system"]["requires"]):
        [pin] = locked[canonicalize_name(needed.name)]
        assert needed.specifier.contains(pin.version)


def test_the_lock_names_no_index():
    for file in FOLDER.iterdir():
        assert "://" not in file.read_text(), file.name
