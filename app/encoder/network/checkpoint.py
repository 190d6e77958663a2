"""Load the vision weights of a released checkpoint, strictly.

A missing, surplus or misshaped vision tensor is an error. Only headers and the used vision tensors
are read: a checkpoint also holds the language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.core.errors import CheckpointError
from app.core.plan.families import Family
from app.encoder.device.device import dtype_name
from app.encoder.network.backbone import VisionBackbone, meta_backbone
from app.encoder.network.checkpoint_files import (
    CONFIG_FILE,
    NAMES_SHOWN,
    PREFIX,
    check_config,
    open_vision_tensors,
    some_of,
)

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
