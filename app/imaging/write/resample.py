"""Resizing pixels: by fast_image_resize where it is installed, by Pillow everywhere else.

Both compute the same: the same filters, in the same two passes, rounded to 8 bits in between. About
one value in a hundred differs, by one level; docs/method/pixels.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Literal

from PIL import Image

from app.core.plan.geometry import Box, Size

Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
_Pass = Callable[[Image.Image, Size, Box, Resample], Image.Image]

_FAST_FILTERS: dict[Resample, str] = {
    "bilinear": "bilinear",
    "bicubic": "catmull_rom",  # what Pillow's bicubic is: a = -0.5
    "lanczos": "lanczos3",
}
"""The filters that both have. Where edges fall between pixels, ``box`` differs."""
_WIDEST_SUPPORT = 3
"""Of Lanczos, in px of the result where that is smaller, else of the original."""


def resize(
    image: Image.Image,
    size: Size,
    box: Box,
    resample: Resample,
    *,
    vertical_first: bool = False,
) -> Image.Image:
    """The part ``box`` (px of ``image``, fractions allowed) resized to ``size``.

    In the thread that calls, without the GIL.

    Args:
        image: 8-bit RGB.
        vertical_first: for an image that is turned only later, as which way is resized first
            shows in the last bit. Pillow chooses for itself, and lets nobody ask.
    """
    library = fast_library() if resample in _FAST_FILTERS else None
    if library is not None:
        one_pass: _Pass = partial(_by_library, library)
    elif resample == "nearest" or not _is_mixed(size, box):
        return _by_pillow(image, size, box, resample)
    else:  # Pillow alone would choose the order, and not always the one that takes less memory
        one_pass = _by_pillow
    return _in_two_passes(one_pass, image, size, box, resample, vertical_first)


def _is_mixed(size: Size, box: Box) -> bool:
    """Whether one way is enlarged and the other is not."""
    return (size.height > box.y1 - box.y0) != (size.width > box.x1 - box.x0)


def _in_two_passes(
    one_pass: _Pass,
    image: Image.Image,
    size: Size,
    box: Box,
    resample: Resample,
    vertical_first: bool,
) -> Image.Image:
    """One way, then the other, over no more rows or columns than the second way needs.

    In one call the library goes down first and then across, Pillow the other way round. In two
    the order is ours, and so is the result; across first is also the faster.
    """
    if _is_mixed(size, box):
        # The smaller way first, or what lies between could be larger than any limit.
        vertical_first = size.height <= box.y1 - box.y0
    if vertical_first:
        start, end = _needed(box.x0, box.x1, size.width, image.width)
        between = Size(end - start, size.height)
        first = Box(start, box.y0, end, box.y1)
        second = Box(box.x0 - start, 0, box.x1 - start, size.height)
    else:
        start, end = _needed(box.y0, box.y1, size.height, image.height)
        between = Size(size.width, end - start)
        first = Box(box.x0, start, box.x1, end)
        second = Box(0, box.y0 - start, size.width, box.y1 - start)
    return one_pass(one_pass(image, between, first, resample), size, second, resample)


def _needed(start: float, end: float, made: int, length: int) -> tuple[int, int]:
    """The px that a filter reads to make ``made`` of those from start to end, of ``length``."""
    support = _WIDEST_SUPPORT * max(1.0, (end - start) / made)
    return max(0, math.floor(start - support)), min(length, math.ceil(end + support))


def _by_pillow(image: Image.Image, size: Size, box: Box, resample: Resample) -> Image.Image:
    filter_ = Image.Resampling[resample.upper()]
    return image.resize((size.width, size.height), filter_, box=box.as_tuple())


def _by_library(
    library: ModuleType, image: Image.Image, size: Size, box: Box, resample: Resample
) -> Image.Image:
    made = Image.new("RGB", (size.width, size.height))
    options = library.ResizeOptions(
        library.ResizeAlg.convolution(library.FilterType[_FAST_FILTERS[resample]]),
        crop_box=library.CropBox(box.x0, box.y0, _span(box.x0, box.x1), _span(box.y0, box.y1)),
    )
    # A resizer of its own for each call, as one holds a lock while it works.
    library.Resizer().resize_pil(image, made, options)
    return made


@cache
def fast_library() -> ModuleType | None:
    """``cykooz_resizer``, or None where there is no wheel of it."""
    try:
        import cykooz_resizer
    except ImportError:
        return None
    module: ModuleType = cykooz_resizer
    return module


def _span(start: float, end: float) -> float:
    """Their distance, never so much that adding it to the start goes beyond the end."""
    span = end - start
    return span if start + span <= end else math.nextafter(span, 0)
