"""Where along a row of sizes the tiling can change, so that a search need not try every size.

With h' and w' for the sides less the margins, and W for the window, a tiling is chosen by comparing
``rows·W / h'`` and ``cols·W / w'`` with 1 and with each other. The choice is therefore constant
between the sizes at which

* a side crosses ``margin + count·W``, or h' or w' crosses 0, or
* ``rows / h'`` crosses ``cols / w'`` for a grid that is itself a candidate: two candidates A and B
  can only swap where a limiting side of one meets a limiting side of the other, and there
  ``rows·cols ≤ max_crops`` (the limiting rows and cols fit into one candidate).

These are places to look. What is found there is always confirmed by the tiling itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.tiling import candidate_grids

_EXACT_BELOW = 2**22
"""Distinct scales of sides whose product with max_crops is below this stay distinct in float32."""


def slack(longest_px: int, config: CropConfig) -> int:
    """How many px around a real crossing float32 rounding can move the choice."""
    return 1 if longest_px * config.max_crops < _EXACT_BELOW else 3


def side_crossings(config: CropConfig) -> Iterator[int]:
    """Sides, in px, from which on a whole count of windows no longer (or the margin just) fits."""
    yield config.margin_px
    for count in range(config.max_crops + 1):
        yield config.margin_px + count * config.window_px + 1


def ratio_crossings(fixed_px: int, *, fixed_is_height: bool, config: CropConfig) -> Iterator[int]:
    """Free sides, in px and rounded down, at which two candidates swap while one side is fixed."""
    inner = fixed_px - config.margin_px
    if inner <= 0:
        return
    for grid in candidate_grids(config.max_crops):
        fixed, free = (grid.rows, grid.cols) if fixed_is_height else (grid.cols, grid.rows)
        yield config.margin_px + free * inner // fixed


def around(crossings: Iterable[int], reach: int, low: int, high: int) -> list[int]:
    """The integers within ``reach`` of a crossing and inside ``[low, high]``, ascending."""
    return sorted(
        {
            side
            for crossing in crossings
            for side in range(max(low, crossing - reach), min(high, crossing + reach) + 1)
        }
    )


class AspectRow:
    """All sizes of one aspect: for each longer side, the shorter one rounded to nearest.

    The longer side is the finer ruler; stepping along the shorter one would miss sizes (a 21:9
    image gives 4 crops at 785x336 only).
    """

    def __init__(self, image: Size) -> None:
        self.image = image
        self.landscape = image.width >= image.height
        self.long_px = max(image.width, image.height)
        self.short_px = min(image.width, image.height)

    def size(self, long_px: int) -> Size:
        """The size whose longer side is ``long_px``."""
        short = max(1, (2 * long_px * self.short_px + self.long_px) // (2 * self.long_px))
        return Size(long_px, short) if self.landscape else Size(short, long_px)

    def has(self, long_px: int) -> bool:
        """Whether the shorter side does not round to 0, where no size keeps the aspect."""
        return 2 * long_px * self.short_px >= self.long_px

    def may_collapse(self, config: CropConfig) -> bool:
        """Whether the letterbox may scale a side of one of these sizes to 0 px.

        That takes more than a crop's side to 1 px, and rounding the shorter side makes an aspect at
        most half as long again.
        """
        return self.long_px * 2 > self.short_px * config.crop_size_px

    def places(self, longest_px: int, config: CropConfig) -> list[int]:
        """Longer sides up to ``longest_px`` between which the tiling is constant.

        And whether a size can be planned is, too: so all of them where one may collapse.
        """
        return sorted({px for span in self._spans(longest_px, config) for px in span})

    def most_places(self, longest_px: int, config: CropConfig) -> int:
        """No fewer than :meth:`places` has, without listing them: what is in two spans counts."""
        return sum(len(span) for span in self._spans(longest_px, config))

    def _spans(self, longest_px: int, config: CropConfig) -> Iterator[range]:
        """The places in runs, some of which may overlap."""
        if self.may_collapse(config):
            yield range(1, longest_px + 1)
            return
        reach = slack(longest_px, config)
        # A short side is crossed where it rounds over: half a px each way, seen from the long side.
        per_short = self.long_px / self.short_px
        short_reach = int(per_short) + reach + 1
        for side in side_crossings(config):
            yield _span(side, side, reach, longest_px)
            yield _span(int(side * per_short), int(side * per_short), short_reach, longest_px)
        yield from self._drift(longest_px, reach, config)

    def _drift(self, longest_px: int, reach: int, config: CropConfig) -> Iterator[range]:
        """Longer sides at which rounding the shorter one decides a ratio comparison.

        ``a·(short - m)`` against ``b·(long - m)`` with ``short = q·long ± ½``: undecided while
        ``|(a·q - b)·long - m·(a - b)| ≤ a/2``.
        """
        margin, aspect = config.margin_px, self.short_px / self.long_px
        for grid in candidate_grids(config.max_crops):
            a, b = (grid.cols, grid.rows) if self.landscape else (grid.rows, grid.cols)
            if a == b:
                # The shorter side never exceeds the longer: they differ from one size on, for good.
                if self.short_px < self.long_px:
                    differ = self.long_px // (2 * (self.long_px - self.short_px))
                    yield _span(differ, differ, reach + 1, longest_px)
                continue
            slope = a * aspect - b
            centre, spread = margin * (a - b), a / 2
            if abs(slope) * longest_px < 1e-9:
                if abs(centre) <= spread:
                    yield range(1, longest_px + 1)
                continue
            first, last = sorted(((centre - spread) / slope, (centre + spread) / slope))
            yield _span(int(max(first, 0)), int(min(last, longest_px)) + 1, reach, longest_px)


def _span(first: int, last: int, reach: int, longest_px: int) -> range:
    """The px from ``reach`` before the first to ``reach`` behind the last, inside 1 to longest."""
    return range(max(1, first - reach), min(longest_px, last + reach) + 1)
