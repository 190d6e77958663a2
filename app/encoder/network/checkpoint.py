"""Load the vision weights of a released checkpoint, strictly.

A missing, surplus or misshaped vision tensor is an error, and so is another family's configuration.
Only headers and the used vision tensors are read: a checkpoint also holds the language model.

Molmo 1 has one flat ``config.json``, and its families differ in the language model's width. Molmo 2
has ``text_config`` and ``adapter_config``; two of its families differ in ``adapter_config`` alone.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.core.errors import CheckpointError
from app.core.plan.families import FAMILIES, Family
from app.encoder.device.device import dtype_name
from app.encoder.network.backbone import VisionBackbone, meta_backbone

PREFIX = "model.vision_backbone."
VISION = "vision_backbone."
CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
NAMES_SHOWN = 10
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
GENERATIONS = {"molmo": 1, "molmo2": 2}
"""Generation by ``model_type``. A configuration of another type is not judged."""
Described = tuple[int, int | None, int | None]
"""Generation, width of the LLM and hidden width of the projector; None for a missing fact."""
READERS = 8
FLOATING = frozenset({"F64", "F32", "F16", "BF16"})
_BLOCKS = "image_vit.transformer.resblocks."
# Our module → the published modules. Their tensors lie in ours one below the other.
_MODULES = {
    "vit.patch_embedding": ("image_vit.patch_embedding",),
    "vit.pre_norm": ("image_vit.pre_ln",),
    "pooling.query": ("image_pooling_2d.wq",),
    "pooling.key_value": ("image_pooling_2d.wk", "image_pooling_2d.wv"),
    "pooling.out": ("image_pooling_2d.wo",),
    "projector.gate_up": ("image_projector.w1", "image_projector.w3"),
    "projector.down": ("image_projector.w2",),
}
_BLOCK_MODULES = {
    "attention_norm": ("attention_norm",),
    "attention.qkv": ("attention.wq", "attention.wk", "attention.wv"),
    "attention.out": ("attention.wo",),
    "mlp_norm": ("ffn_norm",),
    "mlp.up": ("feed_forward.w1",),
    "mlp.down": ("feed_forward.w2",),
}
_BARE = {
    "vit.class_embedding": "image_vit.class_embedding",
    "vit.positional_embedding": "image_vit.positional_embedding",
    "padding_embedding": "pad_embed",
}


def published_names(parameter: str) -> tuple[str, ...]:
    """Name the tensors of a checkpoint that make this parameter, one below the other."""
    if parameter in _BARE:
        return (PREFIX + _BARE[parameter],)
    module, kind = parameter.rsplit(".", 1)
    if module.startswith("vit.blocks."):
        block, part = module.removeprefix("vit.blocks.").split(".", 1)
        return tuple(f"{PREFIX}{_BLOCKS}{block}.{name}.{kind}" for name in _BLOCK_MODULES[part])
    return tuple(f"{PREFIX}{name}.{kind}" for name in _MODULES[module])


def expected_tensors(family: Family) -> dict[str, tuple[int, ...]]:
    """Return the shape of every vision tensor of a released checkpoint, by published name.

    The stored but unused blocks are included.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for parameter, tensor in meta_backbone(family).named_parameters():
        names = published_names(parameter)
        rows, *rest = tensor.shape
        for name in names:
            expected[name] = (rows // len(names), *rest)
    first = f"{PREFIX}{_BLOCKS}0."
    of_a_block = {n.removeprefix(first): s for n, s in expected.items() if n.startswith(first)}
    for block in range(family.vit.blocks_run, family.vit.blocks_stored):
        for name, shape in of_a_block.items():
            expected[f"{PREFIX}{_BLOCKS}{block}.{name}"] = shape
    return expected


def load_checkpoint(
    folder: Path, family: Family, device: torch.device, dtype: torch.dtype
) -> VisionBackbone:
    """Make the backbone with a checkpoint's weights, on ``device`` in ``dtype``.

    Args:
        folder: safetensors with the published names: shards with an index, one
            ``model.safetensors``, or any safetensors files.

    Raises:
        CheckpointError: the folder cannot be read or is another family's, or vision tensors are
            missing, surplus, misshaped, not floating point or not finite in ``dtype``. The error
            names the tensors.
    """
    from safetensors import SafetensorError  # late: random weights need no safetensors

    check_config(folder / CONFIG_FILE, family)
    with ExitStack() as stack:
        tensors = open_vision_tensors(folder, stack)
        _check(tensors, expected_tensors(family), folder)
        backbone = meta_backbone(family).to(dtype).to_empty(device=device)
        try:
            _fill(backbone, tensors)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot read {folder.name}: {error}") from error
    return backbone


def _fill(backbone: VisionBackbone, tensors: Mapping[str, Any]) -> None:
    """Copy the tensors out of the mapped files, several at a time: disks read faster so.

    Raises:
        CheckpointError: values are not finite, or overflow the backbone's dtype.
    """

    def copy(part: Tensor, name: str) -> str | None:
        stored = tensors[name].get_tensor(name)
        part.copy_(stored)
        # A sum is finite only if every value is, and costs much less than a test of each.
        if part.sum(dtype=torch.float32).isfinite() or part.isfinite().all():
            return None
        return "overflow" if stored.isfinite().all() else "not finite"

    with ThreadPoolExecutor(READERS) as readers:
        copies = {
            name: readers.submit(copy, part, name)
            for parameter, tensor in backbone.named_parameters()
            for names in [published_names(parameter)]
            for part, name in zip(tensor.chunk(len(names)), names, strict=True)
        }
        faults = {name: fault for name, copied in copies.items() if (fault := copied.result())}
    if "not finite" in faults.values():
        bad = [name for name, fault in faults.items() if fault == "not finite"]
        raise CheckpointError(
            f"NaN or infinite values in {some_of(bad)}", not_finite=bad[:NAMES_SHOWN]
        )
    if faults:
        dtype = next(backbone.parameters()).dtype
        would = "; dtype float32 holds them" if dtype == torch.float16 else ""
        raise CheckpointError(
            f"values too large for {dtype_name(dtype)} in {some_of(faults)}{would}",
            too_large=list(faults)[:NAMES_SHOWN],
        )


def _check(tensors: Mapping[str, Any], expected: dict[str, tuple[int, ...]], folder: Path) -> None:
    """Compare the headers of the tensors with the expected shapes, without reading values."""
    misfits: list[str] = []
    for name in sorted(tensors.keys() & expected.keys()):
        header = tensors[name].get_slice(name)
        shape = tuple(header.get_shape())
        if shape != expected[name]:
            misfits.append(f"{name} (wanted {list(expected[name])}, has {list(shape)})")
        elif header.get_dtype() not in FLOATING:
            misfits.append(f"{name} (wanted floating point, has {header.get_dtype()})")
    found = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "surplus": sorted(tensors.keys() - expected.keys()),
        "misshaped": misfits,
    }
    wrong = {kind: names for kind, names in found.items() if names}
    if wrong:
        told = "; ".join(f"{len(names)} {kind}: {some_of(names)}" for kind, names in wrong.items())
        facts = {kind: names[:NAMES_SHOWN] for kind, names in wrong.items()}
        raise CheckpointError(f"the vision tensors in {folder.name} do not fit: {told}", **facts)


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
