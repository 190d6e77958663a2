"""The compose files: their values are documented, and the GPU service is the CPU one but for a GPU.

Compose itself resolves them; where it is not installed, those tests skip.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
CHECKPOINT = ROOT / "docker" / "compose.checkpoint.yml"
PAGE = (ROOT / "docs" / "guide" / "operations.md").read_text()

VALUES = re.findall(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", COMPOSE.read_text())

Service = dict[str, Any]


def compose_command() -> list[str] | None:
    """Compose as docker's plugin or on its own; None where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version"], capture_output=True, check=False)
            if version.returncode == 0:
                return command
    return None


@pytest.fixture(scope="module")
def resolve(tmp_path_factory):
    """The services as Compose resolves them, by name."""
    command = compose_command()
    if command is None:
        pytest.skip("docker compose is not installed")
    empty = tmp_path_factory.mktemp("env") / "empty"
    empty.touch()

    def resolved(*files: Path, profile: str = "gpu", **values: str) -> dict[str, Service]:
        # Not what the shell or a .env of this checkout says.
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        chosen = [part for file in files or (COMPOSE,) for part in ("-f", str(file))]
        arguments = ["--env-file", str(empty), "--project-directory", str(ROOT), *chosen]
        found = subprocess.run(
            [*command, *arguments, "--profile", profile, "config", "--format", "json"],
            env={**env, "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", ""), **values},
            capture_output=True,
            text=True,
            check=True,
        )
        services: dict[str, Service] = json.loads(found.stdout)["services"]
        return services

    return resolved


@pytest.mark.parametrize(("name", "default"), sorted(set(VALUES)))
def test_every_value_is_documented_with_its_default(name, default):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert row.startswith(f"| `{name}` | `{default}` |" if default else f"| `{name}` |")


SET = re.findall(
    r"^ +(CROP_PLANNER_\w+): ", COMPOSE.read_text() + CHECKPOINT.read_text(), re.MULTILINE
)


@pytest.mark.parametrize("name", sorted(set(SET)))
def test_every_variable_that_is_set_is_a_setting_of_the_service(name):
    """A misspelt one would be ignored."""
    assert name.removeprefix("CROP_PLANNER_").lower() in Settings.model_fields


def test_every_compose_file_is_told_of():
    """A file that nobody is told of is not used; one that is gone cannot be."""
    told = set(re.findall(r"docker/compose\.\w+\.yml", PAGE))
    assert told == {str(file.relative_to(ROOT)) for file in (ROOT / "docker").glob("*.yml")}


def test_the_default_cuda_version_has_its_driver_in_the_table():
    assert f"\n| {dict(VALUES)['TORCH_CUDA']} | " in PAGE


def test_without_a_profile_the_cpu_service_alone_starts(resolve):
    assert list(resolve(profile="none")) == ["crop-planner"]


def test_the_gpu_service_differs_only_where_it_is_meant_to(resolve):
    """What protects the one protects the other, and both are reached in the same way."""
    services = resolve()
    cpu, gpu = services["crop-planner"], services["crop-planner-gpu"]
    assert gpu.pop("profiles") == ["gpu"]
    assert gpu.pop("image") == "crop-planner:cuda"
    assert gpu.pop("pull_policy") == "build"
    [device] = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}
    arguments = gpu["build"]["args"]
    assert arguments.pop("DEVICE") == "cuda"
    assert arguments.pop("TORCH_CUDA") == "13.0"
    assert gpu["environment"].pop("CROP_PLANNER_DEVICE") == "cuda"
    kernels = gpu["volumes"].pop()
    assert (kernels["source"], kernels["target"]) == ("kernels", "/var/cache/crop-planner")
    assert gpu == cpu


def test_each_service_has_an_index_of_its_own(resolve):
    """One .env serves a machine that runs the one or the other."""
    services = resolve(TORCH_INDEX="cpu-wheels", TORCH_CUDA_INDEX="cuda-wheels", TORCH_CUDA="12.6")
    arguments = {name: service["build"]["args"] for name, service in services.items()}
    assert arguments["crop-planner"]["TORCH_INDEX"] == "cpu-wheels"
    assert "TORCH_CUDA" not in arguments["crop-planner"]
    assert arguments["crop-planner-gpu"]["TORCH_INDEX"] == "cuda-wheels"
    assert arguments["crop-planner-gpu"]["TORCH_CUDA"] == "12.6"


def test_the_gpu_is_chosen_by_its_id(resolve):
    gpu = resolve(CROP_PLANNER_GPU="GPU-5")["crop-planner-gpu"]
    [device] = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"] == ["GPU-5"]


def test_a_checkpoint_reaches_both_services_and_changes_nothing_else(resolve, tmp_path):
    plain = resolve()
    for name, service in resolve(COMPOSE, CHECKPOINT, CHECKPOINT_FOLDER=str(tmp_path)).items():
        folder = service["volumes"].pop()
        assert (folder["source"], folder["target"]) == (str(tmp_path), "/checkpoint")
        assert folder["read_only"] is True
        assert service["environment"].pop("CROP_PLANNER_CHECKPOINT") == "/checkpoint"
        assert service == plain[name]


def test_a_checkpoint_that_is_not_named_is_an_error(resolve):
    with pytest.raises(subprocess.CalledProcessError) as error:
        resolve(COMPOSE, CHECKPOINT)
    assert "CHECKPOINT_FOLDER" in error.value.stderr
