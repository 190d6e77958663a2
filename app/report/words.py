"""Write numbers and findings the same way in sentences, tables and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from app.core.plan.geometry import Box
from app.report.figures.overlap_ranges import Figure, Range, Shape

NONE = "–"

UNITS: Mapping[Figure, Literal["%", "×"]] = {"overlap_ratio": "%", "redundancy_ratio": "×"}
SHAPES: Mapping[Shape | None, str] = {None: "all tilings", "row": "a row", "square": "a square"}
"""Name the shapes of the published ranges."""

Number = int | float | str
Section = Literal["counts", "tilings", "overlap", "published", "methods", "cliffs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold sentences and their numbers by name. ``about`` names a section of the report."""

    about: Section
    text: str
    values: Mapping[str, Number]


def count(number: float) -> str:
    """Write a whole number, or a mean as one: ``5,000``."""
    return f"{number:,.0f}"


def percent(ratio: float | None, digits: int = 1) -> str:
    """Write ``42.9%``. A ratio near 0 or 1 is never rounded to 0% or 100%."""
    if ratio is None:
        return NONE
    least = 10**-digits / 2 / 100
    if 0 < ratio < least:
        return f"<{10**-digits:.{digits}f}%"
    if 1 - least < ratio < 1:
        return f">{100 - 10**-digits:.{digits}f}%"
    return f"{ratio:.{digits}%}"


def times(factor: float) -> str:
    """Write ``1.54×``."""
    return f"{factor:.2f}×"


def ms(time: float | None) -> str:
    """Write ``12.3 ms``."""
    return NONE if time is None else f"{time:,.1f} ms"


def span(found: Range | None, unit: Literal["%", "×"]) -> str:
    """Write ``36.0–49.0%`` or ``1.20–1.71×``; equal ends are written once."""
    if found is None:
        return NONE
    low, high = (f"{100 * end:.1f}" if unit == "%" else f"{end:.2f}" for end in found)
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def box(found: Box | None) -> str:
    """Write ``0, 0 – 336, 336``: two opposite corners in px; whole px have no fraction."""
    if found is None:
        return "all padding"
    x0, y0, x1, y1 = (f"{px:.{int(px != int(px))}f}" for px in found.as_tuple())
    return f"{x0}, {y0} – {x1}, {y1}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Write ``1 image``, ``5,000 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def grid_crops(number: int) -> str:
    """Write ``4 grid crops``. The word "grid" says: the global crop is not counted."""
    return plural(number, "grid crop")


def images_of(images: int, total: int) -> str:
    """Write ``10 of 30 images (33.3%)``, ``all 30 images``, ``the one image`` or ``no image``."""
    if images == total:
        return f"all {total:,} images" if total > 1 else "the one image"
    return f"{images:,} of {total:,} images ({percent(images / total)})" if images else "no image"


def runs(numbers: Sequence[int]) -> list[str]:
    """Write rising numbers as words, three or more in a row as one: ``1 to 4``, ``6``, ``8``."""
    words: list[str] = []
    # In a row, each number is as far from its position as the number before.
    for _, pairs in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [str(number) for _, number in pairs]
        words += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run
    return words


def listed(words: Sequence[str], last: str = "and") -> str:
    """Write ``1, 2 and 4``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end
