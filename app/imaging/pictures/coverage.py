"""Draw ``coverage``: a heat map over the picture with the number of crops at each patch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log2

from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image
from PIL.ImageOps import autocontrast

from app.core.plan.geometry import Box, Size
from app.core.plan.plan import CropPlan
from app.imaging.pictures.crops import draw_padding, padding_entry
from app.imaging.pictures.layout import Entry, Page, counted
from app.imaging.pictures.sheet import INK, Segment, Sheet, horizontal, vertical
from app.imaging.pictures.view import View, Zone, coverage_zones, cut_out, drawn_size

_OPACITY = 0.5
"""A class's colour has this opacity over the grey picture."""
_DARKEST, _LIGHTEST = 45, 245
"""The picture's black and white become these greys, softer than the colours of the classes."""
_PLAIN = "#949494"
"""The samples of the legend, and a plan without a picture, have this ground."""
_NARROWEST_PX = 4.0
"""Narrower patches have no lines around them."""
_SMALLEST = 7.0
"""The smallest count has this size."""
_PADDING = 0.75
"""Padding has this opacity over the map, so that the classes below still show."""
_MOST_CLASSES = 6
_USUAL_MOST = 4
"""At a corner four crops meet. So 1, 2 and 4 have the same colours in every usual picture."""


@dataclass(frozen=True, slots=True)
class CoverageClass:
    """Colour the coverage by ``first`` to ``last`` crops, both included."""

    first: int
    last: int
    colour: str


def coverage_classes(counts: Sequence[int]) -> tuple[CoverageClass, ...]:
    """Give each count a class, or put many counts into classes of doubling width.

    The colours are matplotlib's viridis, from dark to light: even in lightness, and as clear to the
    colour-blind and in grey.
    """
    present = sorted(set(counts))
    most = max(_USUAL_MOST, present[-1])
    ranges = [(count, count) for count in present]
    if len(present) > _MOST_CLASSES:
        doubling = [(2**n // 2 + 1, 2**n) for n in range(most.bit_length() + 1)]
        held = [[count for count in present if low <= count <= high] for low, high in doubling]
        ranges = [(inside[0], inside[-1]) for inside in held if inside]
    viridis = colormaps["viridis"]
    return tuple(
        CoverageClass(first, last, to_hex(viridis(log2(last) / log2(most))))
        for first, last in ranges
    )


def draw_coverage(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """Draw a plan on a sheet."""
    drawn = drawn_size(plan, side_px)
    page = Page.begin(plan, side_px, drawn.width)
    view, sheet = page.place(plan, drawn), page.sheet
    sheet.photo(_ground(plan, image, drawn), page.x, page.y)
    zones = coverage_zones(plan)
    classes = coverage_classes([zone.count for zone in zones])
    for number, zone in enumerate(zones):
        _draw_zone(sheet, view.box(zone.box), _class_of(zone, classes), gid=f"zone-{number}")
    _draw_patches(sheet, plan, view)
    draw_padding(sheet, plan, view, page.size, shows=_PADDING)
    for zone in zones:
        _draw_count(sheet, view.box(zone.box), zone, page.size)
    return page.end(drawn.width, drawn.height, _entries(plan, zones, classes, page.size))


def _ground(plan: CropPlan, image: Image.Image | None, drawn: Size) -> Image.Image:
    """Return the picture in grey, with the contrast stretched so that it shows through.

    Without a picture the ground is plain.
    """
    if image is None:
        return Image.new("RGB", (drawn.width, drawn.height), _PLAIN)
    grey = cut_out(image, plan.canvas, plan.canvas.box, drawn).convert("L")
    levels = [_DARKEST + round(level / 255 * (_LIGHTEST - _DARKEST)) for level in range(256)]
    return autocontrast(grey, cutoff=0.5).point(levels).convert("RGB")


def _class_of(zone: Zone, classes: tuple[CoverageClass, ...]) -> CoverageClass:
    return next(each for each in classes if each.first <= zone.count <= each.last)


def _draw_zone(sheet: Sheet, box: Box, of: CoverageClass, gid: str | None = None) -> None:
    sheet.box(box, fill=of.colour, alpha=_OPACITY, gid=gid)
    sheet.box(box, edge=INK, width=0.8)


def _draw_patches(sheet: Sheet, plan: CropPlan, view: View) -> None:
    """Draw a line between any two patches, if there is room for lines."""
    patch, canvas = plan.config.patch_size_px, plan.canvas
    lines: list[Segment] = []
    box = view.box(canvas.box)
    if patch * view.across >= _NARROWEST_PX:
        xs = range(patch, canvas.width, patch)
        lines += [vertical(view.x0 + at * view.across, box) for at in xs]
    if patch * view.down >= _NARROWEST_PX:
        ys = range(patch, canvas.height, patch)
        lines += [horizontal(view.y0 + at * view.down, box) for at in ys]
    sheet.lines(lines, colour=INK, width=0.5, alpha=0.35)


def _draw_count(sheet: Sheet, box: Box, zone: Zone, size: float) -> None:
    """Write the count into the middle of its zone, if it fits."""
    room = min(box.width / (0.9 * len(str(zone.count))), box.height / 1.3)
    if room < _SMALLEST:
        return
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    sheet.centred(x, y, str(zone.count), min(1.3 * size, room), colour="#ffffff", halo="#000000")


def _entries(
    plan: CropPlan, zones: tuple[Zone, ...], classes: tuple[CoverageClass, ...], size: float
) -> list[Entry]:
    """Explain each class with its number of patches; the numbers add up to the canvas."""
    area = plan.config.patch_size_px**2
    patches = dict.fromkeys(classes, 0)
    for zone in zones:
        patches[_class_of(zone, classes)] += round(zone.box.area / area)
    distinct = plan.overlap().distinct_patches
    entries = [
        Entry(
            f"in {counted(each.first, each.last)} crop{'' if each.last == 1 else 's'}: "
            f"{count:,} patches, {count / distinct:.1%}",
            partial(_sample, each),
        )
        for each, count in patches.items()
    ]
    return entries + padding_entry(plan, size)


def _sample(of: CoverageClass, sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_PLAIN)
    _draw_zone(sheet, box, of)
