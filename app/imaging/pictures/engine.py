"""matplotlib, held: one drawing at a time, its own settings, the font that it ships.

Imported when something is drawn and not before: matplotlib takes 0.3 s to import.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

_DRAWING = threading.Lock()
"""matplotlib is not thread-safe, by its own documentation, and its settings, which we set for the
time of a drawing, are global. Files are read and decoded outside of it."""


@contextmanager
def drawing() -> Iterator[None]:
    """Hold matplotlib, with the settings it ships with, whatever a ``matplotlibrc`` says."""
    with _DRAWING, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "crop-planner"  # else ids are random
        yield


@cache
def _font_file(bold: bool) -> Path:
    return Path(mpl.get_data_path(), "fonts/ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@lru_cache(maxsize=64)
def font(size: float, bold: bool) -> FontProperties:
    """The font that matplotlib ships, by its file: what the machine has changes nothing."""
    return FontProperties(size=size, fname=_font_file(bold))


@lru_cache(maxsize=1024)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Px that a line of text takes; used inside of :func:`drawing`."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
    return float(width)
