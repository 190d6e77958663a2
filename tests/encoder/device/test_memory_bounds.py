"""What is predicted of a pass's memory, held against what lives while it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from app.core.plan.config import make_config
from app.core.plan.families import Family, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.work import cutting_bytes, pass_bytes
from app.encoder.network.preprocess import content_share, image_to_patches, padding_state
from app.encoder.runtimes.base import Eager
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU

MODELS = ("molmo-7b-d-0924", "molmoe-1b-0924", "molmo2-4b")


class LiveBytes(TorchDispatchMode):
    """The most bytes of new tensors that lived at once, looked at after each operation."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self._live = {key: one for key, one in self._live.items() if not one[0].expired()}
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return made


@pytest.mark.parametrize("size", [(640, 480), (1500, 2000)])
@pytest.mark.parametrize("model", ["molmo-7b-d-0924", "molmo2-4b"])
def test_cutting_an_image_takes_no_more_than_is_counted(model: str, size: tuple[int, int]) -> None:
    """With the pixels themselves and the copy that CUDA's resizing kernels make, and not half."""
    plan = make_plan(Size(*size), make_config(family_named(model)))
    pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8)
    with LiveBytes(pixels) as live:
        patches = image_to_patches(pixels, plan)
    seen = live.peak - patches.nbytes + pixels.nbytes + 4 * pixels.numel()
    assert 0.5 * cutting_bytes([plan]) < seen <= cutting_bytes([plan])


@pytest.mark.parametrize("model", MODELS)
def test_a_pass_takes_no_more_than_is_counted(model: str) -> None:
    """Crops, features and what lies between, with every token kept; and not a third of it."""
    family = shallow(family_named(model))
    config = make_config(family)
    plan = make_plan(Size(config.crop_size_px, config.crop_size_px), config)
    runtime = Eager(random_backbone(family, CPU, torch.float32))
    patches = torch.randn(plan.total_crops, config.crop_patches**2, 588)
    state = padding_state(content_share(plan), "released")
    index = torch.arange(config.crop_patches**2 * plan.total_crops // 4 * 4).view(-1, 4)
    with torch.inference_mode(), LiveBytes(patches, *weights_of(runtime)) as live:
        runtime.connect(runtime.encode_patches(patches), index, state)
    counted = pass_bytes(family, plan.total_crops, 4)
    assert counted / 3 < live.peak + patches.nbytes <= counted


def weights_of(runtime: Eager) -> list[Tensor]:
    backbone: Any = runtime.encode_patches
    return list(backbone.__self__.parameters())


def shallow(family: Family) -> Family:
    """The same widths in three blocks: no more than two of them are ever held."""
    vit = replace(family.vit, blocks_stored=3, feature_layers=(2, 1))
    return replace(family, vit=vit)
