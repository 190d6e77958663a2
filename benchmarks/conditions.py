"""What a measurement was made under, and the name it is kept by."""

from __future__ import annotations

import argparse
import logging
import platform
import re
from dataclasses import replace
from typing import Any

import torch

from app.core.plan.families import DEFAULT_FAMILY, Family, family_named
from app.encoder.device.device import device_name


def add_model(parser: argparse.ArgumentParser, default: str | None = DEFAULT_FAMILY) -> None:
    """Add the options that :func:`family_of` reads."""
    parser.add_argument("--model", default=default)
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny network for a dry run: its times mean nothing"
    )


def family_of(options: argparse.Namespace, model: str | None = None) -> Family:
    """The family that is asked for; a tiny one has another name, so that nobody mistakes it."""
    family = family_named(model or options.model)
    return tiny(family) if options.tiny else family


def tiny(family: Family) -> Family:
    """The family's crops and layout with three narrow blocks."""
    vit, connector = family.vit, family.connector
    layers = tuple(range(1, 1 - len(vit.feature_layers), -1))
    vit = replace(vit, width=128, heads=2, mlp_width=256, blocks_stored=3, feature_layers=layers)
    connector = replace(connector, projector_hidden=128, llm_width=128)
    return replace(family, name=f"tiny-{family.name}", vit=vit, connector=connector)


def show_log() -> None:
    """Print what loading decides: the parts that are chosen for each number of crops, and why."""
    logging.basicConfig(format="  %(message)s")
    logging.getLogger("app").setLevel(logging.INFO)


def conditions(device: torch.device) -> dict[str, Any]:
    """Device and versions."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "weights": "random",
    }


def device_slug(device: torch.device) -> str:
    """The device's name as it is part of a file's: ``amd-epyc-2-cores``."""
    return re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")


def result_name(benchmark: str, device: torch.device) -> str:
    """A file name: benchmark, device and versions."""
    python = ".".join(platform.python_version_tuple()[:2])
    version = torch.__version__.partition("+")[0]
    return f"{benchmark}_{device.type}_{device_slug(device)}_torch-{version}_python-{python}"
