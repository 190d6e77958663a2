"""The image: its arguments, variables and folders are documented and fit one another."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PAGE = (ROOT / "docs" / "guide" / "operations.md").read_text()
TORCH_CUDA = ROOT / "docker" / "torch_cuda.py"


def variables() -> dict[str, str]:
    """What the stages of the image set, by name."""
    joined = DOCKERFILE.replace("\\\n", " ")
    instructions = re.findall(r"^ENV (.+)$", joined, re.MULTILINE)
    pairs = [pair.partition("=") for line in instructions for pair in line.split()]
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"^ARG (\w+)=", DOCKERFILE, re.MULTILINE))))
def test_every_argument_is_documented(name):
    assert f"`{name}`" in PAGE or f"--build-arg {name}=" in PAGE


@pytest.mark.parametrize(
    "name", sorted(name for name in variables() if not name.startswith(("PATH", "PIP_", "PYTHON")))
)
def test_every_variable_of_the_image_is_documented_or_a_setting(name):
    """All but those that anyone knows, of Python and of pip."""
    if name.startswith("CROP_PLANNER_"):
        assert name.removeprefix("CROP_PLANNER_").lower() in Settings.model_fields
    else:
        assert f"`{name}`" in PAGE


def test_the_page_tells_of_the_torch_that_is_pinned():
    """Its table of drivers and GPUs is another one for another torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [pinned] = [line for line in project["dependencies"] if line.startswith("torch==")]
    told = re.findall(r"torch(?:==| )(\d+\.\d+\.\d+)", PAGE)
    assert len(told) > 1
    assert {f"torch=={version}" for version in told} == {pinned}


def test_what_kernels_are_compiled_into_lies_on_the_volume_and_belongs_to_the_user():
    """/tmp is mounted noexec and the root read-only: kernels can be loaded from neither."""
    compose = (ROOT / "docker-compose.yml").read_text()
    folders = {Path(value) for name, value in variables().items() if "CACHE" in name}
    assert len(folders) == 3
    for folder in folders:
        assert f"- kernels:{folder.parent}\n" in compose
        assert f"--owner=10001 --group=10001 {folder.parent}\n" in DOCKERFILE


def test_the_compiler_is_in_the_cuda_image_alone():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    installing = [stage.splitlines()[0] for stage in stages if "apt-get install" in stage]
    assert installing == ["${PYTHON_IMAGE} AS cuda"]


def test_the_driver_capabilities_are_computing_and_watching():
    """Without them the container gets neither CUDA nor what tells clocks and temperature."""
    assert variables()["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


def test_whatever_the_build_binds_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.strip("!/") for line in ignored if line.startswith("!")}
    sources = re.findall(r"type=bind,source=([^,\s]+)", DOCKERFILE)
    assert sources
    for source in sources:
        assert {source, str(Path(source).parent)} & kept
        assert (ROOT / source).exists()


def test_an_image_is_installed_from_the_lock():
    """Only torch has no hash; requirements/torch.txt says why."""
    installing = re.findall(r"pip .*install .*", DOCKERFILE)
    [locked, torch, service] = installing
    assert "--require-hashes" in locked
    assert "-r /torch.txt" in torch
    assert "--no-deps --no-index" in service


def check(wanted: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the check of the build, on the torch in ``folder`` or on the one that is installed."""
    env = {} if folder is None else {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, TORCH_CUDA, wanted], env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def torch_for(tmp_path):
    """A package called torch that is built for a CUDA version, as far as its version file says."""

    def made(cuda: str | None) -> Path:
        package = tmp_path / "torch"
        package.mkdir()
        (package / "__init__.py").write_text("raise ImportError('torch itself is not imported')")
        (package / "version.py").write_text(f"__version__ = '2.13.0+x'\ncuda = {cuda!r}\n")
        return tmp_path

    return made


@pytest.mark.parametrize(("cuda", "wanted"), [("13.0", "13.0"), ("13.0", ""), (None, "")])
def test_a_torch_for_the_wanted_cuda_version_passes(torch_for, cuda, wanted):
    assert check(wanted, torch_for(cuda)).returncode == 0


@pytest.mark.parametrize(
    ("cuda", "wanted", "said"),
    [
        ("12.6", "13.0", "torch 2.13.0+x is built for CUDA 12.6, but 13.0 is wanted"),
        (None, "13.0", "torch 2.13.0+x is built without CUDA, but 13.0 is wanted"),
    ],
)
def test_a_torch_for_another_cuda_version_ends_the_build(torch_for, cuda, wanted, said):
    result = check(wanted, torch_for(cuda))
    assert result.returncode == 1
    assert result.stderr.strip() == said


def test_the_torch_that_is_installed_can_be_asked():
    assert check("").returncode == 0
    assert "but 1.0 is wanted" in check("1.0").stderr
