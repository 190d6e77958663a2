"""Choose a colour and a dash pattern for every crop: crops side by side never look alike.

The palette is Martin Krzywinski's 15-colour palette for colour blindness
(https://mk.bcgsc.ca/colorblind/palettes.mhtml, "15-color palette for colorblindness"), in an order
of our own. Some of its colours look alike to some people. So crops that touch get colours with a
CIEDE2000 difference of at least 20, also for the three kinds of dichromacy (Machado, Oliveira and
Fernandes 2009). The tests compute the differences.
"""

from dataclasses import dataclass
from functools import lru_cache

from app.core.plan.geometry import Grid

_BLACK, _WHITE = "#000000", "#ffffff"
_COLOURS: tuple[tuple[str, str, set[int]], ...] = (
    ("#009ffa", _BLACK, {3, 4, 5, 6, 7, 9}),
    ("#ef0096", _BLACK, {2, 3, 6, 7, 9, 10}),
    ("#f60239", _BLACK, {1, 4, 6, 13, 14}),
    ("#00dcb5", _BLACK, {0, 1, 4, 5, 8}),
    ("#00e307", _BLACK, {0, 2, 3, 5, 12}),
    ("#7cfffa", _BLACK, {0, 3, 4, 7, 8}),
    ("#008169", _WHITE, {0, 1, 2, 11, 13}),
    ("#ff71fd", _BLACK, {0, 1, 5, 8}),
    ("#ffcfe2", _BLACK, {3, 5, 7, 12}),
    ("#9400e6", _WHITE, {0, 1, 10}),
    ("#003c86", _WHITE, {1, 9, 11}),
    ("#68023f", _WHITE, {6, 10, 14}),
    ("#ffdc3d", _BLACK, {4, 8}),
    ("#008607", _WHITE, {2, 6}),
    ("#6a0213", _WHITE, {2, 11}),
)
"""Each colour has its ink, and the indices of the colours less than 20 away for someone.

Such colours are never neighbours. The colours with most of them come first: a search places them
with most trouble.
"""

PALETTE = tuple(colour for colour, _, _ in _COLOURS)

DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4.0, 1.6),
    (1.5, 1.3),
    (6.0, 1.4, 1.5, 1.4),
    (9.0, 2.6),
    (2.6, 3.0),
)
"""The n-th crop of a colour has the n-th pattern: lengths on and off, in line widths."""


@dataclass(frozen=True, slots=True)
class Style:
    """Describe the line around a crop. No two crops of a plan share both colour and dash.

    ``ink`` is black or white, the one farther from the colour: for text on the colour, and for the
    casing beside it, so that one of the two shows on any ground.
    """

    colour: str
    ink: str
    dash: tuple[float, ...]


@lru_cache(maxsize=256)
def crop_styles(grid: Grid) -> tuple[Style, ...]:
    """Return a style for each grid crop, in row order. All colours serve before any serves twice.

    Args:
        grid: at most ``len(PALETTE) * len(DASHES)`` crops, more than any plan has.
    """
    uses = [0] * len(PALETTE)
    styles = []
    for colour in _assign(grid):
        name, ink, _ = _COLOURS[colour]
        styles.append(Style(name, ink, DASHES[uses[colour]]))
        uses[colour] += 1
    return tuple(styles)


def _assign(grid: Grid) -> list[int]:
    """Search depth first, the least used colour first: some hundred steps for most grids."""
    count = grid.crops
    # Repeated colours need one use to spare, or the last crops find only colours that are alike.
    most = -(-count // len(PALETTE)) + (count > len(PALETTE))
    chosen: list[int] = []
    uses = [0] * len(PALETTE)
    untried = [_candidates(grid, chosen, uses, most)]
    while len(chosen) < count:
        if untried[-1]:
            colour = untried[-1].pop()
            chosen.append(colour)
            uses[colour] += 1
            untried.append(_candidates(grid, chosen, uses, most))
        else:  # a dead end: undo the last choice
            untried.pop()
            uses[chosen.pop()] -= 1
    return chosen


def _candidates(grid: Grid, chosen: list[int], uses: list[int], most: int) -> list[int]:
    """Return the colours that the next crop may have, the best last."""
    row, col = divmod(len(chosen), grid.cols)
    before = [(row, col - 1), (row - 1, col - 1), (row - 1, col), (row - 1, col + 1)]
    touching = [chosen[r * grid.cols + c] for r, c in before if r >= 0 and 0 <= c < grid.cols]
    fit = [
        colour
        for colour, used in enumerate(uses)
        if used < most
        and not any(near == colour or near in _COLOURS[colour][2] for near in touching)
    ]
    return sorted(fit, key=lambda colour: (uses[colour], colour), reverse=True)
