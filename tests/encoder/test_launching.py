"""A pass over several images, launched: the same tokens, whichever way they were staged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from app.core.plan.config import make_config
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.encoder import launching
from app.encoder.encoder import Encoder, HostImage, shifted, shifted_layout, token_layout
from app.encoder.launching import launch
from app.encoder.network.preprocess import content_share, padding_state, patches_shape
from tests.encoder.reference import CPU, pattern_image

SIZES = ((150, 90), (84, 84), (60, 200), (90, 150))


class Copied:
    """The event of a copy, which has ended when it was waited for."""

    def __init__(self) -> None:
        self.waited = False

    def query(self) -> bool:
        return self.waited

    def synchronize(self) -> None:
        self.waited = True


@pytest.fixture
def bus(monkeypatch) -> None:
    """Pretend that the CPU is across a bus, whose copies are the tensors themselves."""
    monkeypatch.setattr(
        "app.encoder.encoder.pinned", lambda count: torch.empty(count, dtype=torch.uint8)
    )
    monkeypatch.setattr(launching, "upload", lambda memory, device: memory)
    monkeypatch.setattr(launching, "download", lambda source: (source, Copied()))
    monkeypatch.setattr(launching, "wait_for_downloads", lambda device: None)


def plan_of(encoder: Encoder, width: int, height: int) -> CropPlan:
    return make_plan(Size(width, height), make_config(encoder.family))


def host_image(encoder: Encoder, width: int, height: int) -> HostImage:
    plan = plan_of(encoder, width, height)
    state = padding_state(content_share(plan), encoder.mask_order)
    return HostImage.of(pattern_image(height, width, 1), plan, state)


def check(encoder: Encoder, images) -> None:
    """Every image has the tokens and positions that it has by itself."""
    for (width, height), image in zip(SIZES, images, strict=True):
        plan = plan_of(encoder, width, height)
        alone = encoder.run(encoder.prepare(pattern_image(height, width, 1), plan))
        torch.testing.assert_close(image.tokens, alone.tokens, rtol=1e-5, atol=1e-5)
        assert torch.equal(image.positions, alone.positions)


def test_on_a_cpu_a_pass_is_over_when_it_is_launched(tiny_encoder: Encoder) -> None:
    pixels = [(pattern_image(h, w, 1), plan_of(tiny_encoder, w, h)) for w, h in SIZES]
    launched = launch(tiny_encoder, [tiny_encoder.stage(*one) for one in pixels])
    assert launched.is_done()
    check(tiny_encoder, launched.result())


@pytest.mark.usefixtures("bus")
def test_images_cut_on_the_device_have_the_tokens_of_each_alone(tiny_encoder: Encoder) -> None:
    """Pixels and padding cross together; crops go side by side into the input of one pass."""
    launched = launch(tiny_encoder, [host_image(tiny_encoder, *size) for size in SIZES])
    assert not launched.is_done()
    check(tiny_encoder, launched.result())
    assert launched.is_done()


@pytest.mark.usefixtures("bus")
def test_crops_are_cut_into_the_input_that_the_runtime_has(tiny_encoder: Encoder) -> None:
    """So that its pass begins without a copy."""
    plans = [plan_of(tiny_encoder, *size) for size in SIZES]
    crops = sum(plan.total_crops for plan in plans)
    own = torch.full((crops + 3, *patches_shape(plans[0])[1:]), float("nan"))
    seen: list[Tensor] = []

    class WithInput:
        name = "with-input"
        connect = staticmethod(tiny_encoder.runtime.connect)

        def input_for(self, total_crops: int) -> Tensor:
            return own[:total_crops]

        def encode_patches(self, patches: Tensor) -> Tensor:
            seen.append(patches)
            return tiny_encoder.runtime.encode_patches(patches)

    encoder = replace(tiny_encoder, runtime=WithInput())
    images = launch(encoder, [host_image(encoder, *size) for size in SIZES]).result()
    check(tiny_encoder, images)
    assert seen[0].data_ptr() == own.data_ptr()
    assert seen[0].shape[0] == crops
    assert own[crops:].isnan().all(), "nothing is written beyond the pass's crops"


@pytest.mark.usefixtures("bus")
def test_pixels_and_padding_share_one_piece_of_memory(tiny_encoder: Encoder) -> None:
    """Decoders' arrays may not be written to; the copy is what they hold."""
    plan = plan_of(tiny_encoder, 150, 90)
    pixels = pattern_image(90, 150, 1)
    pixels.flags.writeable = False
    state = padding_state(content_share(plan), "released")
    image = HostImage.of(pixels, plan, state)
    assert np.array_equal(image.parts(image.memory)[0].numpy(), pixels)
    assert torch.equal(image.parts(image.memory)[1].long(), state)
    assert image.memory.numel() == pixels.size + state.numel()
    with pytest.raises(ValueError, match="pixels must be uint8"):
        HostImage.of(pixels[1:], plan, state)


def test_layouts_are_kept_by_tiling_and_place(tiny_encoder: Encoder) -> None:
    """No image of a known tiling brings anything to the device but its pixels and padding."""
    plan = plan_of(tiny_encoder, 150, 90)
    first = shifted_layout(plan.grid, plan.config, CPU, 0)
    moved = shifted_layout(plan.grid, plan.config, CPU, 36)
    assert moved is shifted_layout(plan.grid, plan.config, CPU, 36)
    assert first is token_layout(plan.grid, plan.config, CPU)[0]
    assert torch.equal(moved, first + 36)
    missing = torch.tensor([[-1, 0], [3, -1]])
    assert shifted(missing, 5).tolist() == [[-1, 5], [8, -1]]
