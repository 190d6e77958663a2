"""Make the rivals of our encoder over the same patches: the released way, transformers, and timm.

The released way makes the same vision tokens from the same weights. The others are the vision
transformer alone, with random weights of their own: CLIP ViT-L/14-336 with all its 24 blocks. Molmo
reads 22 of the blocks. So the others are compared with our ViT alone, and only our work counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from app.core.plan.families import Family
from app.encoder.network.backbone import Block, activate
from app.encoder.runtimes.base import FreshInput
from app.encoder.synthetic import random_backbone
from benchmarks.reference_file import every_window
from benchmarks.variants import Variant, of_runtime

Mode = Literal["default", "reduce-overhead"]
TIMM_NAMES = ("vit_large_patch14_clip_quickgelu_336", "vit_large_patch14_clip_336")


def rivals(
    family: Family, device: torch.device, dtype: torch.dtype
) -> Mapping[str, Callable[[], Variant]]:
    """Return the makers of the rivals by name. Errors of their packages pass through.

    Args:
        dtype: the dtype of the weights, except for the released way.
    """
    makers: dict[str, Callable[[], Variant]] = {
        "released": partial(released_way, family, device, float32_attention=False)
    }
    if device.type == "cuda":  # a CPU has no autocast here, and the two ways are equal
        makers["released, float32 attention"] = partial(
            released_way, family, device, float32_attention=True
        )
    return {
        **makers,
        "transformers": partial(transformers_clip, family, device, dtype),
        "timm": partial(timm_clip, family, device, dtype),
    }


def compiled_rivals(
    family: Family, device: torch.device, dtype: torch.dtype
) -> Mapping[str, Callable[[], Variant]]:
    """Return the makers of the compiled rivals by name. The first pass of each takes long.

    ``reduce-overhead`` captures CUDA graphs, like our own runtime, and changes nothing on a CPU.
    """
    modes: dict[str, Mode] = {
        "transformers, compiled": "default",
        "transformers, reduce-overhead": "reduce-overhead",
    }
    return {
        name: partial(transformers_clip, family, device, dtype, name=name, mode=mode)
        for name, mode in modes.items()
    }


def released_way(family: Family, device: torch.device, *, float32_attention: bool) -> Variant:
    """Make the released way. On CUDA it runs under bfloat16 autocast, with bfloat16's limits."""
    runtime = Released(family, device, float32_attention=float32_attention)
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    unread = family.vit.blocks_stored - family.vit.blocks_run
    note = f"runs {unread} block more, pools all windows" if unread else "float32 weights"
    return of_runtime(runtime, torch.float32, precision, note)


def transformers_clip(
    family: Family,
    device: torch.device,
    dtype: torch.dtype,
    *,
    name: str = "transformers",
    mode: Mode | None = None,
) -> Variant:
    """Make transformers' CLIP vision model from a configuration, without a download.

    Args:
        mode: the mode of torch.compile; None does not compile.
    """
    _check_clip(family)
    transformers = import_module("transformers")
    vit = family.vit
    config = transformers.CLIPVisionConfig(
        hidden_size=vit.width,
        intermediate_size=vit.mlp_width,
        num_hidden_layers=24,
        num_attention_heads=vit.heads,
        image_size=family.crop_size_px,
        patch_size=family.patch_size_px,
        hidden_act="quick_gelu",
    )
    model = transformers.AutoModel.from_config(config, attn_implementation="sdpa")
    model = model.to(device=device, dtype=dtype).eval().requires_grad_(False)
    run: Any = model if mode is None else torch.compile(model, mode=mode)

    def encode(patches: Tensor) -> Tensor:
        if mode is not None:
            # The next pass may overwrite a result in a graph's memory.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch
        states: Tensor = run(pixel_values=as_images(patches, family)).last_hidden_state
        return states

    return Variant(name, dtype, dtype, "ViT alone, 24 blocks", encode, None)


def timm_clip(family: Family, device: torch.device, dtype: torch.dtype) -> Variant:
    """Make timm's model of the same shape."""
    _check_clip(family)
    timm = import_module("timm")
    known = set(timm.list_models("vit_large_patch14_clip*"))
    name = next((name for name in TIMM_NAMES if name in known), None)
    if name is None:
        raise LookupError(f"timm {timm.__version__} has none of {', '.join(TIMM_NAMES)}")
    model = timm.create_model(name, pretrained=False)
    model = model.to(device=device, dtype=dtype).eval().requires_grad_(False)

    def encode(patches: Tensor) -> Tensor:
        features: Tensor = model.forward_features(as_images(patches, family))
        return features

    return Variant("timm", dtype, dtype, f"ViT alone, 24 blocks ({name})", encode, None)


def as_images(patches: Tensor, family: Family) -> Tensor:
    """Join patches [C, P, 588] to crops again, [C, 3, side, side].

    The join is timed with a rival, as all variants start from patches: 3 MB a crop, under 1 %.
    """
    patch, side = family.patch_size_px, family.crop_size_px
    across = side // patch
    cells = patches.view(-1, across, across, patch, patch, 3)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(-1, 3, side, side)


def _check_clip(family: Family) -> None:
    if not family.vit.class_token:
        raise ValueError(f"{family.name} has another vision transformer than CLIP's")


class Released:
    """Run the vision backbone as the code released with Molmo does, by its description.

    The released code does more than ours: it runs the last stored block, though nothing reads the
    block; query, key and value are separate products; query and key are widened to float32; weights
    stay in float32, and autocast rounds them at every product; all windows of a crop are pooled and
    projected, also the windows outside the prompt.

    Args:
        float32_attention: compute attention itself in float32. With torch's fused attention,
            autocast rounds query and key again, and the wider dtype costs time for nothing.
    """

    def __init__(
        self, family: Family, device: torch.device, *, float32_attention: bool = False
    ) -> None:
        self.name = "released, float32 attention" if float32_attention else "released"
        self._backbone = random_backbone(family, device, torch.float32)
        blocks = [block for block in self._backbone.vit.blocks if isinstance(block, Block)]
        unread = family.vit.blocks_stored - family.vit.blocks_run
        # Their weights do not matter, as nothing reads their output. Their time does.
        self._blocks = [*blocks, *blocks[:unread]]
        self._pools_crops = family.connector.pooling_domain == "crop"
        self._pooling = family.connector.pooling
        self._device, self._float32_attention = device, float32_attention
        self.input_for = FreshInput(self._backbone)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Compute features [C, P, F] from patches [C, P, 588]."""
        vit = self._backbone.vit
        with self._autocast():
            x = vit.embed(patches.float())
            read: dict[int, Tensor] = {}
            for index, block in enumerate(self._blocks):
                x = x + self._attend(block, block.attention_norm(x))
                mlp = block.mlp
                x = x + mlp.down(activate(mlp.up(block.mlp_norm(x)), mlp.activation))
                read[index] = x
            return self._backbone.features(tuple(read[layer] for layer in vit.feature_layers))

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """Pool and project all windows, then take those of ``pool_index``."""
        with self._autocast():
            if not self._pools_crops:
                return self._backbone.connect(features, pool_index, padding_state)
            windows, window_of = _all_windows(
                len(features), features.shape[1], self._pooling, self._device
            )
            tokens = self._backbone.connect(features, windows, padding_state)
            return tokens[window_of[pool_index[:, 0]]]

    def _attend(self, block: Block, x: Tensor) -> Tensor:
        attention = block.attention
        weights, biases = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
        query, key, value = (
            functional.linear(x, weight, bias)
            .unflatten(-1, (attention.heads, -1))  # type: ignore[no-untyped-call]  # torch
            .transpose(1, 2)
            for weight, bias in zip(weights, biases, strict=True)
        )
        query, key = query.float(), key.float()
        if self._float32_attention:
            with torch.autocast(self._device.type, enabled=False):
                mixed = functional.scaled_dot_product_attention(query, key, value.float())
        else:
            value = value if torch.is_autocast_enabled(self._device.type) else value.float()
            mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = attention.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _autocast(self) -> AbstractContextManager[object]:
        if self._device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


def _all_windows(
    crops: int, patches: int, pooling: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return every window of every crop [windows, W], and the window of each flat patch."""
    windows = every_window(crops, patches, pooling).to(device)
    window_of = torch.empty(crops * patches, dtype=torch.int64, device=device)
    numbers = torch.arange(len(windows), device=device)
    window_of[windows.flatten()] = numbers.repeat_interleave(pooling**2)
    return windows, window_of
