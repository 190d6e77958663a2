"""The figures of docs/guide/concepts.md are those of the code."""

import re
from pathlib import Path

import pytest

from app.core.control.headroom import width_headroom
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.tokens import axis_tokens
from app.core.plan.work import plan_flops, vit_flops

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "guide" / "concepts.md").read_text()
CONFIG = make_config(family_named("molmo-7b-d-0924"))


def plan(size, config=CONFIG):
    width, height = (int(side) for side in re.split("[×x]", size))
    return make_plan(Size(width, height), config)


def rows(heading):
    """Return the cells of the table under a heading, without the row of the heading."""
    table = PAGE.split(f"\n{heading}\n")[1].split("\n\n")[0]
    lines = [line for line in table.splitlines() if not line.startswith("|---")]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


PLANS = rows("| image | tiling | crops in all | canvas | patch tokens | prompt tokens | GFLOP |")


@pytest.mark.parametrize("row", PLANS, ids=lambda row: row[0])
def test_the_plans_of_the_table_are_the_plans_of_the_code(row):
    made = plan(row[0])
    assert row == [
        row[0],
        f"{made.grid.rows}×{made.grid.cols}",
        str(made.total_crops),
        f"{made.canvas.width}×{made.canvas.height}",
        f"{made.tokens.patch:,}",
        f"{made.tokens.prompt:,}",
        f"{plan_flops(made) / 1e9:,.0f}",
    ]


def test_one_pixel_more_on_both_sides_turns_one_crop_into_four():
    """One pixel less saves as much as the page promises."""
    before, after = plan("336x336"), plan("337x337")
    assert (before.grid.crops, after.grid.crops) == (1, 4)
    assert (before.total_crops, after.total_crops) == (2, 5)
    saved = 1 - plan_flops(before) / plan_flops(after)
    tokens = after.tokens.prompt - before.tokens.prompt
    assert f"saves {tokens} tokens and {saved:.0%} of the work".replace("%", " %") in PAGE


@pytest.mark.parametrize("row", rows("| image | width shrinks by | width grows by |"))
def test_the_headroom_of_the_table_is_that_of_the_code(row):
    room = width_headroom(plan(row[0]))
    shown = ["without end" if px is None else str(px) for px in (room.down, room.up)]
    assert row[1:] == shown


def test_the_token_rule_of_the_page_gives_the_tokens_of_the_sample():
    tokens = plan("640x427").tokens
    told = {kind: count for kind, _, count in rows("| kind | rule | tokens |")}
    assert told == {
        "patch": str(tokens.patch),
        "column": str(tokens.column),
        "start, end": str(tokens.start + tokens.end),
        "prompt": str(tokens.prompt),
        "computed": f"{tokens.computed:,}",
    }
    along = ", ".join(str(axis_tokens(count, CONFIG)) for count in (1, 2, 3, 4))
    assert along == ", ".join(str(8 * n + 4) for n in (1, 2, 3, 4))
    assert f"8 · n + 4 tokens along the row: {along}." in " ".join(PAGE.split())


def test_lengths_scales_and_shares_of_the_text_are_those_of_the_code():
    sample, large = plan("640x427"), plan("1920x1080")
    canvas = sample.canvas
    bottom = canvas.height - canvas.scaled_height - canvas.pad_top
    for told in (
        f"{CONFIG.margin_patches} patches, or {CONFIG.margin_px} px",
        f"{CONFIG.window_patches} patches, or {CONFIG.window_px} px",
        ", ".join(str(n * CONFIG.window_px + CONFIG.margin_px) for n in (1, 2, 3, 4)),
        f"grows by {canvas.scale_x:.3f}",
        f"{canvas.scaled_width}×{canvas.scaled_height} px on a canvas of",
        f"{canvas.pad_top} px of padding above and {bottom} px below",
        f"{sample.overlap().overlap_ratio * 100:.1f} % of the patches",
        f"to {large.canvas.scale_x:.2f} of its size on 3×4",
        f"{vit_flops(CONFIG.family, 1) / 1e9:.0f} GFLOP a crop",
    ):
        assert told in " ".join(PAGE.split()), told


def test_the_picture_of_a_window_has_the_lengths_of_the_code():
    picture = (DOCS / "pictures" / "window.svg").read_text()
    patch = CONFIG.patch_size_px
    for patches in (CONFIG.crop_patches, CONFIG.window_patches, CONFIG.margin_patches):
        assert f"{patches} patches = {patches * patch} px" in picture


def test_the_figures_of_molmo_2_are_those_of_the_code():
    config = make_config(family_named("molmo2-8b"))
    side, window = config.crop_size_px, config.window_px
    made = plan("640x480", config)
    cells = {row[0]: row[2] for row in rows("| | Molmo 1 | Molmo 2 |")}
    assert cells["crop, patches"] == f"{side} px, {config.crop_patches}×{config.crop_patches}"
    assert cells["window, first cliff"] == f"{window} px, {side + 1} px"
    assert plan(f"{side}x{side}", config).grid.crops == 1
    assert plan(f"{side + 1}x{side + 1}", config).grid.crops == 4
    assert cells["`max_crops`"] == str(config.max_crops)
    grid, prompt = made.grid, made.tokens.prompt
    assert cells["640×480 px"] == f"{grid.rows}×{grid.cols}, {prompt} prompt tokens"
