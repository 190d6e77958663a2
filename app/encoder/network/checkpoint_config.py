"""The family that a checkpoint's ``config.json`` is of, so that another's is told before loading.

Molmo 1 has one flat configuration, and its families differ in the language model's width. Molmo 2
has ``text_config`` and ``adapter_config``; two of its families differ in the latter alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import CheckpointError
from app.core.plan.families import FAMILIES, Family

GENERATIONS = {"molmo": 1, "molmo2": 2}
"""By ``model_type``; a configuration of another type is not judged."""


@dataclass(frozen=True, slots=True)
class Described:
    """Facts that a configuration tells of the model; None for each that it does not."""

    generation: int
    llm_width: int | None
    projector_hidden: int | None

    def contradicts(self, family: Family) -> bool:
        """Tell whether the model surely is not of this family."""
        connector = family.connector
        return self.generation != family.generation or any(
            said not in (None, known)
            for said, known in (
                (self.llm_width, connector.llm_width),
                (self.projector_hidden, connector.projector_hidden),
            )
        )


def check_config(file: Path, family: Family) -> None:
    """Refuse a checkpoint whose configuration is another family's.

    Raises:
        CheckpointError: with the families that would fit.
    """
    described = read_config(file)
    if described is None or not described.contradicts(family):
        return
    fitting = [name for name, known in FAMILIES.items() if not described.contradicts(known)]
    raise CheckpointError(
        f"{file.name} in {file.parent.name} is not that of {family.name}; "
        + (f"model {' or '.join(fitting)} would fit" if fitting else "no known model fits it"),
        parameter="model",
        actual=family.name,
        supported=fitting,
    )


def read_config(file: Path) -> Described | None:
    """Read what can be held against a family; None where there is nothing of the kind."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    generation = GENERATIONS.get(str(config.get("model_type")))
    if generation is None:
        return None
    if generation == 1:
        return Described(1, _whole(config, "hidden_size"), None)
    adapter, text = config.get("adapter_config"), config.get("text_config")
    width = _whole(text, "hidden_size") or _whole(adapter, "text_hidden_size")
    return Described(2, width, _whole(adapter, "intermediate_size"))


def _whole(values: Any, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, int) else None
