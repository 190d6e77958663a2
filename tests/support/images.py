"""Image files made for a test."""

import io

import numpy as np
from PIL import Image


def file_of(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def with_orientation(image: Image.Image, form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(image, form, exif=exif if form == "TIFF" else exif.tobytes())


def sixteen_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 257)
