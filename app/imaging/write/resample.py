"""Resize pixels with fast_image_resize, or with Pillow if that is not installed.

Both apply the same filters one way and then the other, with 8 bits in between. About one value in a
hundred differs, by one level; docs/method/pixels.md has the figures.
"""

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
    "bicubic": "catmull_rom",  # Pillow's bicubic has a = -0.5, too
    "lanczos": "lanczos3",
}
"""Both have these filters. ``box`` differs at edges between pixels."""
_WIDEST_SUPPORT = 3
"""Lanczos reaches so far, in px of the smaller of result and original."""


def resize(
    image: Image.Image,
    size: Size,
    box: Box,
    resample: Resample,
    *,
    vertical_first: bool = False,
) -> Image.Image:
    """Resize a part of an image, in the calling thread and without the GIL.

    Args:
        image: 8-bit RGB.
        size: the size of the result.
        box: the part, in px of ``image``, fractions allowed.
        resample: the filter.
        vertical_first: resize down before across, for an image that is turned later: the order
            shows in the last bit. Pillow alone ignores this and takes its own order.
    """
    library = fast_library() if resample in _FAST_FILTERS else None
    if library is not None:
        one_pass: _Pass = partial(_by_library, library)
    elif resample == "nearest" or not _is_mixed(size, box):
        return _by_pillow(image, size, box, resample)
    else:  # in one call Pillow might take the order with more memory
        one_pass = _by_pillow
    return _in_two_passes(one_pass, image, size, box, resample, vertical_first)


def _is_mixed(size: Size, box: Box) -> bool:
    """Return True if one way is enlarged and the other is not."""
    return (size.height > box.height) != (size.width > box.width)


def _in_two_passes(
    one_pass: _Pass,
    image: Image.Image,
    size: Size,
    box: Box,
    resample: Resample,
    vertical_first: bool,
) -> Image.Image:
    """Resize one way and then the other, over only the rows or columns that the second needs.

    In one call the library goes down and then across, and Pillow across and then down. In two calls
    the order is ours, so the results agree; across first is also faster.
    """
    if _is_mixed(size, box):
        # The reduced way goes first, or the image in between could be larger than any limit.
        vertical_first = size.height <= box.height
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
    """Return the first and last px that a filter reads to make ``made`` px of a span."""
    support = _WIDEST_SUPPORT * max(1.0, (end - start) / made)
    return max(0, math.floor(start - support)), min(length, math.ceil(end + support))


def _by_pillow(image: Image.Image, size: Size, box: Box, resample: Resample) -> Image.Image:
    filter_ = Image.Resampling[resample.upper()]
    return image.resize((size.width, size.height), filter_, box=box)


def _by_library(
    library: ModuleType, image: Image.Image, size: Size, box: Box, resample: Resample
) -> Image.Image:
    made = Image.new("RGB", (size.width, size.height))
    options = library.ResizeOptions(
        library.ResizeAlg.convolution(library.FilterType[_FAST_FILTERS[resample]]),
        crop_box=library.CropBox(box.x0, box.y0, _span(box.x0, box.x1), _span(box.y0, box.y1)),
    )
    # A resizer holds a lock during its work, so each call has its own.
    library.Resizer().resize_pil(image, made, options)
    return made


@cache
def fast_library() -> ModuleType | None:
    """Import ``cykooz_resizer``; None without a wheel for this platform."""
    try:
        import cykooz_resizer
    except ImportError:
        return None
    module: ModuleType = cykooz_resizer
    return module


def _span(start: float, end: float) -> float:
    """Return a distance that, added to the start, never goes beyond the end."""
    span = end - start
    return span if start + span <= end else math.nextafter(span, 0)
