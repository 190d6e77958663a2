"""What is said of published figures holds for the crops, and for windows mapped back."""

import json
from collections import Counter
from math import ceil, floor
from pathlib import Path

from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.overlap import grid_overlap
from app.core.plan.plan import make_plan
from app.core.plan.tiling import candidate_grids
from app.report.figures.overlap_ranges import CLAIMS, explained, shape_of

COCO = Path(__file__).parents[2] / "vectors" / "coco_val2017_sizes.json"
CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
ROW, SQUARE, ALL = (claim.published for claim in CLAIMS)


def once(length: int, windows: int, scale: float) -> tuple[int, int]:
    """Px of a side that windows mapped back cover, and those that only one of them covers."""
    covered = Counter[int]()
    for window in range(windows):
        first, last = (CONFIG.window_px * (window + end) / scale for end in (0, 1))
        covered.update(range(floor(first), min(length, ceil(last))))
    return len(covered), sum(count == 1 for count in covered.values())


def test_windows_mapped_back_give_no_overlap():
    """Without margins and padding there is none but what rounding to whole px makes."""
    assert explained().window_px == 224
    assert (explained().windows.overlap_ratio, explained().windows.redundancy_ratio) == (0, 1)
    for height, width in {tuple(pair) for pair in json.loads(COCO.read_text())}:
        plan = make_plan(Size(width, height), CONFIG)
        rows, rows_once = once(height, plan.grid.rows, plan.canvas.scale_y)
        cols, cols_once = once(width, plan.grid.cols, plan.canvas.scale_x)
        assert 1 - rows_once * cols_once / (rows * cols) < 0.01


def test_published_ranges_fit_few_tilings():
    """No row of crops, one square, the redundancy of rows and up to 2x4: as report and page say."""
    allowed = candidate_grids(CONFIG.max_crops)
    overlaps = {str(grid): (shape_of(grid), grid_overlap(grid, CONFIG)) for grid in allowed}
    ratios = {name: (shape, one.overlap_ratio) for name, (shape, one) in overlaps.items()}
    rows = [ratio for shape, ratio in ratios.values() if shape == "row"]
    assert min(rows) == explained().row_of_two.overlap_ratio > ROW[1]
    fitting = [n for n, (shape, r) in ratios.items() if shape == "square" and r <= SQUARE[1]]
    assert fitting == ["2x2"]
    assert SQUARE[0] < explained().square_of_two.overlap_ratio < SQUARE[1]
    assert explained().square_of_three.overlap_ratio > SQUARE[1]
    more = {name for name, (_, one) in overlaps.items() if one.redundancy_ratio > ALL[1]}
    assert more == {"2x5", "2x6", "3x3", "3x4", "4x3", "5x2", "6x2"}
    assert explained().square_of_three.redundancy_ratio > ALL[1]
