"""Which family a model path names: planning needs its name, and not a single weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.core.errors import UnknownModel
from app.core.plan.families import FAMILIES, Family, family_named


def family_at(model_path: str | Path) -> Family:
    """The family of a name, of a hub's ``owner/name``, or of a checkpoint's folder.

    By the last part of the path where that is a family's name, else by the sizes in the folder's
    ``config.json``, as the released checkpoints have them.

    Raises:
        UnknownModel: neither names a family.
    """
    path = Path(model_path)
    name = path.name.lower()
    if name in FAMILIES:
        return FAMILIES[name]
    config = _config_of(path)
    if config is None:
        return family_named(str(model_path))  # says which there are
    for family in FAMILIES.values():
        if _sizes(family) == _sizes_in(config):
            return family
    raise UnknownModel(
        f"{path.name}/config.json is of no family that is known: {', '.join(FAMILIES)}",
        actual=str(config.get("model_type")),
        known=list(FAMILIES),
    )


def _config_of(folder: Path) -> dict[str, Any] | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def _sizes(family: Family) -> tuple[int, int, int | None]:
    """What tells families apart: the generation, the language model's width, the projector's."""
    connector = family.connector
    hidden = connector.projector_hidden if family.generation == 2 else None
    return family.generation, connector.llm_width, hidden


def _sizes_in(config: dict[str, Any]) -> tuple[Any, Any, Any]:
    adapter = config.get("adapter_config")
    if isinstance(adapter, dict):
        return 2, adapter.get("text_hidden_size"), adapter.get("intermediate_size")
    return 1, config.get("hidden_size"), None
