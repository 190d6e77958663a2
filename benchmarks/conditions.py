"""Describe the conditions of a benchmark, and name its result after them."""

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
    """Add the options read by :func:`family_of`."""
    parser.add_argument("--model", default=default)
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny network for a dry run: its times mean nothing"
    )


def family_of(options: argparse.Namespace, model: str | None = None) -> Family:
    """Return the requested family; a tiny one has a name of its own."""
    family = family_named(model or options.model)
    return tiny(family) if options.tiny else family


def tiny(family: Family) -> Family:
    """Give a family three narrow blocks and its own crops and layout."""
    vit, connector = family.vit, family.connector
    layers = tuple(range(1, 1 - len(vit.feature_layers), -1))
    vit = replace(vit, width=128, heads=2, mlp_width=256, blocks_stored=3, feature_layers=layers)
    connector = replace(connector, projector_hidden=128, llm_width=128)
    return replace(family, name=f"tiny-{family.name}", vit=vit, connector=connector)


def show_log() -> None:
    """Print the decisions of loading: the chosen parts for each number of crops, with reasons."""
    logging.basicConfig(format="  %(message)s")
    logging.getLogger("app").setLevel(logging.INFO)


def conditions(device: torch.device) -> dict[str, Any]:
    """Return the device and the versions."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "weights": "random",
    }


def device_slug(device: torch.device) -> str:
    """Write the device's name for a file name: ``amd-epyc-2-cores``."""
    return re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")


def result_name(benchmark: str, device: torch.device) -> str:
    """Name a result after its benchmark, device and versions."""
    python = ".".join(platform.python_version_tuple()[:2])
    version = torch.__version__.partition("+")[0]
    return f"{benchmark}_{device.type}_{device_slug(device)}_torch-{version}_python-{python}"
