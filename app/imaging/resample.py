"""Resizing pixels: by fast_image_resize where it is installed, by Pillow everywhere else.

Both compute the same: the same filters, the same passes, rounded to 8 bits in between. They differ
by one level in a few of a million values; docs/pixels.md has the figures.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Literal

from PIL import Image

from app.core.geometry import Box, Size

Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

_FAST_FILTERS: dict[Resample, str] = {
    "bilinear": "bilinear",
    "bicubic": "catmull_rom",  # what Pillow's bicubic is: a = -0.5
    "lanczos": "lanczos3",
}
"""The filters that both have. Where edges fall between pixels, ``box`` differs."""


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
        vertical_first: which way is resized first, which is where an image that is turned later
            differs from one that was turned before. Pillow takes its own way, and lets nobody ask.
    """
    library = fast_library()
    if library is None or resample not in _FAST_FILTERS:
        filter_ = Image.Resampling[resample.upper()]
        return image.resize((size.width, size.height), filter_, box=box.as_tuple())
    # The library goes down first and then across, Pillow the other way round. In two calls the
    # order is ours, and so is the result; across first is also the faster.
    if vertical_first:
        half_way = Size(image.width, size.height)
        first = Box(0, box.y0, image.width, box.y1)
        second = Box(box.x0, 0, box.x1, size.height)
    else:
        half_way = Size(size.width, image.height)
        first = Box(box.x0, 0, box.x1, image.height)
        second = Box(0, box.y0, size.width, box.y1)
    filter_name = _FAST_FILTERS[resample]
    image = _one_pass(library, image, half_way, first, filter_name)
    return _one_pass(library, image, size, second, filter_name)


def _one_pass(
    library: ModuleType, image: Image.Image, size: Size, box: Box, filter_name: str
) -> Image.Image:
    made = Image.new("RGB", (size.width, size.height))
    options = library.ResizeOptions(
        library.ResizeAlg.convolution(library.FilterType[filter_name]),
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
