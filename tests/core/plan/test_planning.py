"""Planning: the laws that hold for every size and configuration, and the examples people know."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scatter import DROPPED, image_input_idx
from support.strategies import configs, plan_or_reject, sizes

from app.core.errors import CollapsedImage, InvalidConfig, InvalidSize, UnknownModel
from app.core.plan.canvas import canvas_size
from app.core.plan.config import MAX_CROPS_LIMIT, make_config
from app.core.plan.families import FAMILIES, family_named
from app.core.plan.geometry import MAX_SIDE_PX, Box, Grid, Size
from app.core.plan.overlap import grid_overlap
from app.core.plan.plan import make_plan, plan_with_grid
from app.core.plan.tiling import candidate_grids
from app.core.plan.tokens import (
    TokenKind,
    axis_tokens,
    axis_windows,
    count_tokens,
    pooling_windows,
    token_sequence,
)

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
MOLMO2 = make_config(FAMILIES["molmo2-8b"])


@given(configs())
def test_a_canvas_gets_its_own_grid_unscaled(config):
    """So pad, crop and stretch reach every tiling there is."""
    for grid in candidate_grids(config.max_crops):
        plan = make_plan(canvas_size(grid, config), config)
        assert plan.grid == grid
        assert (plan.canvas.scaled_width, plan.canvas.scaled_height) == (
            plan.canvas.width,
            plan.canvas.height,
        )


@given(sizes, configs())
def test_every_content_pixel_is_in_a_crop(size, config):
    """The crops' parts of the image cover it without a gap, and so do their canvas boxes."""
    plan = plan_or_reject(size, config)
    crops = plan.crops()
    assert len(crops) == plan.grid.crops
    for axis in (0, 1):
        spans = sorted(
            {
                (box.as_tuple()[axis], box.as_tuple()[axis + 2])
                for c in crops
                if (box := c.image_box)
            }
        )
        assert spans[0][0] == 0
        assert max(end for _, end in spans) == (size.width, size.height)[axis]
        for (_, end), (start, _) in pairwise(spans):
            assert start <= end
    assert max(c.canvas_box.x1 for c in crops) == plan.canvas.width
    assert max(c.canvas_box.y1 for c in crops) == plan.canvas.height


@given(sizes, configs())
def test_padding_ratios_add_up_to_the_canvas(size, config):
    """Without overlap the content of all crops is the scaled image; with overlap it is more."""
    plan = plan_or_reject(size, config)
    side = config.crop_size_px
    content = sum((1 - crop.padding_ratio) * side * side for crop in plan.crops())
    scaled = plan.canvas.scaled_width * plan.canvas.scaled_height
    if config.margin_px == 0:
        assert content == pytest.approx(scaled)
    else:
        assert content >= scaled * (1 - 1e-9)
    for crop in plan.crops():
        assert (crop.image_box is None) == (crop.padding_ratio == 1)
        assert crop.padding_ratio == plan.canvas.padding_ratio(crop.canvas_box)


@given(sizes, configs())
def test_image_box_inverts_the_canvas(size, config):
    """Scaling an image box back onto the canvas gives the visible part of the crop."""
    plan = plan_or_reject(size, config)
    canvas = plan.canvas
    for crop in plan.crops():
        if (box := crop.image_box) is None:
            continue
        back = Box(
            box.x0 * canvas.scale_x + canvas.pad_left,
            box.y0 * canvas.scale_y + canvas.pad_top,
            box.x1 * canvas.scale_x + canvas.pad_left,
            box.y1 * canvas.scale_y + canvas.pad_top,
        )
        assert box == canvas.to_image(crop.canvas_box)
        visible = crop.canvas_box.intersect(canvas.content)
        assert back.as_tuple() == pytest.approx(visible.as_tuple())


@given(sizes, configs(), st.data())
def test_crops_of_any_grid_are_boxes_of_the_canvas(size, config, data):
    """By rows and columns as box by box, all padding included."""
    grid = data.draw(st.sampled_from(candidate_grids(config.max_crops)))
    try:
        plan = plan_with_grid(size, grid, config)
    except CollapsedImage:
        return
    for crop in plan.crops():
        assert crop.image_box == plan.canvas.to_image(crop.canvas_box)
        assert crop.padding_ratio == plan.canvas.padding_ratio(crop.canvas_box)


@given(configs())
def test_token_counts_add_up(config):
    """Counts, sequence, pooling windows and scatter order tell the same story."""
    for grid in candidate_grids(config.max_crops)[:12]:
        tokens = count_tokens(grid, config)
        sequence = token_sequence(grid, config)
        assert tokens.prompt == len(sequence)
        assert tokens.patch == sequence.count(TokenKind.PATCH) == len(pooling_windows(grid, config))
        assert tokens.column == sequence.count(TokenKind.COLUMN)
        assert (tokens.start, tokens.end) == (2, 2)
        assert tokens.computed >= tokens.patch
        assert axis_tokens(grid.cols, config) == len(axis_windows(grid.cols, config))


@given(configs())
def test_each_kept_patch_is_pooled_once(config):
    """No patch reaches two tokens, and the global crop's patches all reach one."""
    grid = candidate_grids(config.max_crops)[-1]
    patches = [p for window in pooling_windows(grid, config) for p in window if p >= 0]
    assert len(patches) == len(set(patches))
    per_crop = config.crop_patches**2
    assert set(range(per_crop)) <= set(patches)
    assert max(patches) < per_crop * grid.total_crops


def test_scatter_order_puts_each_token_at_a_patch_position():
    """Kept tokens fill the prompt's patch positions exactly, in the order of pooling_windows."""
    grid = Grid(3, 4)
    sequence = token_sequence(grid, MOLMO1)
    positions = image_input_idx(grid, MOLMO1)
    kept = sorted(p for crop in positions for p in crop if p != DROPPED)
    assert kept == [i for i, kind in enumerate(sequence) if kind is TokenKind.PATCH]
    at = {
        position: crop * 576 + token // 12 * 2 * 24 + token % 12 * 2
        for crop, tokens in enumerate(positions)
        for token, position in enumerate(tokens)
        if position != DROPPED
    }
    assert [at[p] for p in kept] == [window[0] for window in pooling_windows(grid, MOLMO1)]


@pytest.mark.parametrize(
    ("rows", "cols", "ratio", "redundancy"),
    [
        (1, 1, 0.0, 1.0),
        (1, 2, 0.20, 1.20),
        (2, 2, 0.36, 1.44),
        (2, 3, 3 / 7, 3456 / 2240),
        (3, 3, 0.49, 1.653),
        (3, 4, 0.524, 1.714),
    ],
)
def test_overlap_examples(rows, cols, ratio, redundancy):
    """The figures pinned for Molmo 1's grids."""
    overlap = grid_overlap(Grid(rows, cols), MOLMO1)
    assert overlap.overlap_ratio == pytest.approx(ratio, abs=5e-4)
    assert overlap.redundancy_ratio == pytest.approx(redundancy, abs=5e-4)
    assert overlap.average_overlap_count == overlap.redundancy_ratio
    assert overlap.max_overlap_count == min(rows, 2) * min(cols, 2)


@given(sizes, configs())
def test_overlap_is_the_count_over_patches(size, config):
    """The products of axis sums are the sums over the patches they stand for."""
    plan = plan_or_reject(size, config)
    window, side = config.window_patches, config.crop_patches
    coverage = np.zeros((plan.canvas.height // 14, plan.canvas.width // 14), int)
    for crop in plan.crops():
        y, x = crop.row * window, crop.col * window
        coverage[y : y + side, x : x + side] += 1
    content = np.zeros((plan.canvas.height, plan.canvas.width), bool)
    box = plan.canvas.content
    content[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    rows, cols = coverage.shape
    shown = content.reshape(rows, 14, cols, 14).any(axis=(1, 3))
    for overlap, counts in (
        (plan.overlap(), coverage.ravel()),
        (plan.content_overlap(), coverage[shown]),
    ):
        assert overlap.total_patches == counts.sum()
        assert overlap.distinct_patches == len(counts)
        assert overlap.overlapped_patches == (counts > 1).sum()
        assert overlap.max_overlap_count == counts.max()
        assert overlap.redundancy_ratio == pytest.approx(counts.mean())
        if (counts > 1).any():
            assert overlap.average_overlapped_count == pytest.approx(counts[counts > 1].mean())
    assert plan.encoder_redundancy() == pytest.approx(plan.total_crops * side**2 / shown.sum())


def test_known_plans():
    """The figures of the documentation: 740 tokens for 640×480, 752 for Molmo 2."""
    plan = make_plan(Size(640, 480), MOLMO1)
    assert (str(plan.grid), plan.tokens.patch, plan.tokens.column) == ("2x3", 704, 32)
    assert plan.tokens.prompt == 740
    assert make_plan(Size(640, 480), MOLMO2).tokens.prompt == 752
    assert count_tokens(Grid(3, 4), MOLMO1).computed == 1872
    assert count_tokens(Grid(3, 4), MOLMO1).patch == 1152
    assert count_tokens(Grid(1, 12), MOLMO1).patch == 1344


def test_one_pixel_is_a_cliff():
    assert make_plan(Size(336, 336), MOLMO1).grid.crops == 1
    assert make_plan(Size(337, 337), MOLMO1).grid.crops == 4


def test_crops_are_ordered_by_rows():
    plan = make_plan(Size(640, 480), MOLMO1)
    assert [(c.index, c.row, c.col) for c in plan.crops()] == [
        (0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 1, 0), (4, 1, 1), (5, 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "parameter"),
    [
        ({"max_crops": 0}, "max_crops"),
        ({"max_crops": MAX_CROPS_LIMIT + 1}, "max_crops"),
        ({"crop_size_px": 340}, "crop_size_px"),
        ({"crop_size_px": 0}, "crop_size_px"),
        ({"overlap_margins": (3, 4)}, "overlap_margins"),
        ({"overlap_margins": (-2, 4)}, "overlap_margins"),
        ({"overlap_margins": (12, 12)}, "overlap_margins"),
    ],
)
def test_what_molmo_refuses_is_a_clear_error(override, parameter):
    """The error names the parameter, the limit and the value."""
    with pytest.raises(InvalidConfig) as caught:
        make_config(FAMILIES["molmo-7b-d-0924"], **override)
    assert caught.value.facts["parameter"] == parameter
    assert {"limit", "actual"} <= caught.value.facts.keys()
    with pytest.raises(InvalidConfig):  # nor can one be made in another way
        replace(MOLMO1, **override)
    assert str(caught.value.facts["actual"]) in caught.value.detail


def test_molmo2_takes_odd_margins():
    """It pools the stitched grid, so nothing in it refuses them."""
    assert make_config(FAMILIES["molmo2-8b"], overlap_margins=(3, 4)).window_patches == 20


def test_all_families_are_there():
    assert set(FAMILIES) == {
        "molmo-7b-d-0924", "molmo-7b-o-0924", "molmo-72b-0924", "molmoe-1b-0924",
        "molmo2-4b", "molmo2-8b", "molmo2-o-7b",
    }  # fmt: skip
    with pytest.raises(UnknownModel, match="molmo-7b-d-0924"):
        family_named("molmo-8b")


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (MAX_SIDE_PX + 1, 5)])
def test_no_size_without_pixels(size):
    with pytest.raises(InvalidSize):
        Size(*size)


def test_collapsed_images_are_refused_with_the_sides():
    with pytest.raises(CollapsedImage, match="0x336") as caught:
        make_plan(Size(1, 4000), MOLMO1)
    assert caught.value.facts["actual"] == 0
    assert make_plan(Size(1, 4000), MOLMO2).grid.crops == 1, "Molmo 2 stretches, so it can"
