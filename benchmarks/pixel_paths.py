"""Resize a JPEG in several ways, for a comparison."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module

import numpy as np
from PIL import Image

from app.core.control.resizing import ResizeDecision
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import make_plan
from app.imaging.read.header import look
from app.imaging.write.render import Output, OutputFormat, make_file
from benchmarks.photos import file_of

Path = Callable[[bytes, Size], Image.Image]
"""A path makes pixels of a size from a file."""

CONFIG = make_config(family_named(DEFAULT_FAMILY))
QUALITY = 90
LIMIT_PX = 10**8


def pillow(data: bytes, size: Size) -> Image.Image:
    """Decode all of the file, then resize by Lanczos: the base of the comparison."""
    with Image.open(io.BytesIO(data)) as image:
        return image.resize((size.width, size.height), Image.Resampling.LANCZOS)


def pillow_draft(data: bytes, size: Size) -> Image.Image:
    """Decode at the smallest scale with twice the needed px, as ``Image.thumbnail`` does."""
    with Image.open(io.BytesIO(data)) as image:
        drafted = image.draft("RGB", (2 * size.width, 2 * size.height))
        assert drafted is not None
        return image.resize((size.width, size.height), Image.Resampling.LANCZOS, box=drafted[1])


def cykooz(data: bytes, size: Size) -> Image.Image:
    """Decode all of the file, then call ``cykooz_resizer`` once, as in its own README."""
    import cykooz_resizer as library

    made = Image.new("RGB", (size.width, size.height))
    lanczos = library.ResizeAlg.convolution(library.FilterType.lanczos3)
    with Image.open(io.BytesIO(data)) as image:
        library.Resizer().resize_pil(image, made, library.ResizeOptions(lanczos))
    return made


def pyvips(data: bytes, size: Size) -> Image.Image:
    """Make a thumbnail with libvips, in one thread. libvips chooses the scale of decoding."""
    import pyvips as library

    made = library.Image.thumbnail_buffer(data, size.width, height=size.height, size="force")
    return Image.fromarray(np.asarray(made.numpy()))


def encoded(path: Path, data: bytes, size: Size) -> bytes:
    """Follow a path to the end: to the bytes of a JPEG."""
    return file_of(path(data, size), "JPEG", quality=QUALITY)


def ours(data: bytes, size: Size, form: OutputFormat = "jpeg") -> bytes:
    """Look, decide, make and verify, as ``POST /resize`` does."""
    facts = look(data, max_pixels=LIMIT_PX)
    whole = Box(0, 0, facts.size.width, facts.size.height)
    placed = Box(0, 0, size.width, size.height)
    grid = make_plan(size, CONFIG).grid
    decision = ResizeDecision("stretch", grid, size, whole, placed)
    output = Output(form, QUALITY if form == "jpeg" else None)
    made = make_file(data, facts, decision, CONFIG, output, max_pixels=LIMIT_PX)
    assert made.data is not None
    return made.data


def our_pixels(data: bytes, size: Size) -> Image.Image:
    """Return the pixels of :func:`ours`, without the losses of a JPEG."""
    with Image.open(io.BytesIO(ours(data, size, "png"))) as image:
        return image.convert("RGB")


def ways() -> dict[str, tuple[Callable[[bytes, Size], bytes], Path]]:
    """Return every way that this machine has: to the end, and as far as pixels."""
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    found: dict[str, Path] = {"pillow": pillow, "pillow draft": pillow_draft}
    for name, module, path in (("cykooz", "cykooz_resizer", cykooz), ("pyvips", "pyvips", pyvips)):
        with suppress(ImportError):
            import_module(module)
            found[name] = path
    return {name: (partial(encoded, path), path) for name, path in found.items()} | {
        "ours": (ours, our_pixels)
    }


def psnr_db(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio over all RGB values, in dB."""
    square = float(np.square(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())
    return math.inf if square == 0 else 10 * math.log10(255**2 / square)
