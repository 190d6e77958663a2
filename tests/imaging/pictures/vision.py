"""Compute the colours that people with a dichromacy see, and the distances between them.

Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency" (2009), table 1, severity 1.0; applied to linear RGB.
"""

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

VISIONS = {
    "trichromacy": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "tritanopia": np.array([
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])


def linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(values: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB values, shape [..., 3], as they look to someone."""
    light = np.clip(linear(values) @ vision.T, 0, 1)
    gamma = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb2lab(gamma)


def least_differences(colours: list[str]) -> np.ndarray:
    """CIEDE2000 between any two colours, for whom it is least."""
    values = np.array([rgb(colour) for colour in colours])
    each = []
    for vision in VISIONS.values():
        lab = seen(values, vision)
        each.append(deltaE_ciede2000(lab[:, None], lab[None, :]))
    return np.min(each, axis=0)
