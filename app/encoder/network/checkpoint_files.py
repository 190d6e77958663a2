"""Find and open the files of a checkpoint folder, and refuse another family's configuration.

Molmo 1 has one flat ``config.json``, and its families differ in the language model's width. Molmo 2
has ``text_config`` and ``adapter_config``; two of its families differ in ``adapter_config`` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from app.core.errors import CheckpointError
from app.core.plan.families import FAMILIES, Family

PREFIX = "model.vision_backbone."
VISION = "vision_backbone."
CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
NAMES_SHOWN = 10
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def open_vision_tensors(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Open the vision tensors: the memory-mapped file of each tensor, by its name."""
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, Any] = {}
    others: set[str] = set()
    for path in _vision_files(folder):
        _refuse_pointer(path)
        try:
            file = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
            stored: list[str] = file.keys()
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot read {path.name}: {error}", file=path.name) from error
        names = {name for name in stored if name.startswith(PREFIX)}
        repeated = tensors.keys() & names
        if repeated:
            raise CheckpointError(f"{path.name} repeats {some_of(repeated)}", file=path.name)
        tensors.update(dict.fromkeys(names, file))
        others |= set(stored) - names
    if not tensors:
        _refuse_other_prefix(others, folder)
    return tensors


def _vision_files(folder: Path) -> list[Path]:
    """List the files with vision tensors by the index, else all safetensors files."""
    if not folder.is_dir():
        raise CheckpointError(f"checkpoint folder {folder} does not exist or is no folder")
    if (folder / INDEX_FILE).exists():
        return [folder / name for name in sorted(_indexed_files(folder / INDEX_FILE))]
    if (folder / SINGLE_FILE).exists():
        return [folder / SINGLE_FILE]
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    if any(folder.glob("*.bin")):
        raise CheckpointError(
            f"checkpoint folder {folder} holds its weights as .bin files alone, which are pickles "
            "and not read; the same weights as safetensors would do"
        )
    raise CheckpointError(f"checkpoint folder {folder} holds no safetensors files")


def _indexed_files(index: Path) -> set[str]:
    _refuse_pointer(index)
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {str(file) for name, file in weight_map.items() if name.startswith(PREFIX)}
        if not files:
            _refuse_other_prefix(set(weight_map), index.parent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"cannot read {index.name}: {error!r}", file=index.name) from error
    outside = [name for name in files if Path(name).name != name]
    if outside:
        raise CheckpointError(f"{index.name} names files outside its folder: {some_of(outside)}")
    return files


def _refuse_pointer(path: Path) -> None:
    """Refuse the pointer left by a clone without Git LFS in place of a file."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError:
        return  # the reader of the file itself raises the error
    if start == LFS_POINTER:
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer, not the file itself; `git lfs pull` fetches it",
            file=path.name,
        )


def _refuse_other_prefix(names: Iterable[str], folder: Path) -> None:
    """Refuse vision tensors under the names of other code."""
    prefixes = {name[: name.index(VISION) + len(VISION)] for name in names if VISION in name}
    if prefixes:
        raise CheckpointError(
            f"the vision tensors in {folder.name} have names that begin with {some_of(prefixes)}; "
            f"the published ones begin with {PREFIX}",
            prefixes=sorted(prefixes)[:NAMES_SHOWN],
            wanted=PREFIX,
        )


def some_of(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - NAMES_SHOWN
    return ", ".join(ordered[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


GENERATIONS = {"molmo": 1, "molmo2": 2}
"""Generation by ``model_type``. A configuration of another type is not judged."""
Described = tuple[int, int | None, int | None]
"""Generation, width of the LLM and hidden width of the projector; None for a missing fact."""


def check_config(file: Path, family: Family) -> None:
    """Refuse a checkpoint with another family's configuration.

    Raises:
        CheckpointError: the family does not fit. The error names the fitting families.
    """
    described = _read_config(file)
    if described is None or _may_describe(described, family):
        return
    fitting = [name for name, known in FAMILIES.items() if _may_describe(described, known)]
    raise CheckpointError(
        f"{file.name} in {file.parent.name} is not that of {family.name}; "
        + (f"model {' or '.join(fitting)} would fit" if fitting else "no known model fits it"),
        parameter="model",
        actual=family.name,
        supported=fitting,
    )


def _may_describe(described: Described, family: Family) -> bool:
    """Return False if the model is surely of another family."""
    connector = family.connector
    known = (family.generation, connector.llm_width, connector.projector_hidden)
    return all(said in (None, fact) for said, fact in zip(described, known, strict=True))


def _read_config(file: Path) -> Described | None:
    """Read the facts about a model; None without a readable configuration of a known type."""
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
        return 1, _whole(config, "hidden_size"), None
    adapter, text = config.get("adapter_config"), config.get("text_config")
    width = _whole(text, "hidden_size") or _whole(adapter, "text_hidden_size")
    return 2, width, _whole(adapter, "intermediate_size")


def _whole(values: Any, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, int) else None
