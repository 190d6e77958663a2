"""How far pictures are apart."""

import math

import numpy as np
from PIL import Image


def psnr_db(one: Image.Image, other: Image.Image) -> float:
    """Peak signal to noise, in dB over all RGB values; infinite for equal pictures."""
    difference = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    square = float((difference**2).mean())
    return math.inf if square == 0 else 10 * math.log10(255**2 / square)
