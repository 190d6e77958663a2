"""Find real photos at the sizes of phones and cameras, in Debian's wallpaper packages.

``apt-get install lomiri-wallpapers-20.04 mate-backgrounds plasma-workspace-wallpapers`` puts the
photos under ``/usr/share``. Otherwise the sample of 0.3 MP is enlarged. An enlarged sample is far
softer than a photo; its figures describe this code and not photos.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from app.core.plan.geometry import Size

SAMPLE = Path(__file__).parents[1] / "docs" / "samples" / "rocket.jpg"
CAMERA = "backgrounds/Kleiber_by_Lukas_Baubkus.jpg"
"""This photo alone has the pixels of a camera, 6028×3391."""
SMALLER = (
    *(f"backgrounds/mate/nature/{name}.jpg" for name in ("Garden", "LadyBird", "TwoWings")),
    *(
        f"wallpapers/{name}/contents/images/2560x1600.jpg"
        for name in ("Autumn", "ColorfulCups", "EveningGlow", "FallenLeaf", "OneStandsOut", "Path")
    ),
    *(f"backgrounds/mate/nature/{name}.jpg" for name in ("Aqua", "RainDrops", "Storm", "Wood")),
    *(
        f"wallpapers/{name}/contents/images/2560x1600.jpg"
        for name in ("BytheWater", "ColdRipple", "Kite")
    ),
)
"""These photos have 2 to 5 MP, reduced and often sharpened: harder than a camera's own files."""


@dataclass(frozen=True, slots=True)
class Photos:
    """Name one large photo and several smaller ones, with the hardest among the first nine."""

    one: Path
    several: tuple[Path, ...]

    @property
    def names(self) -> list[str]:
        return [str(Path(*path.parts[-4:])) for path in (self.one, *self.several)]

    def single(self, size: Size) -> bytes:
        """Cut the one photo to the aspect and resize it, as a JPEG of quality 90."""
        return file_of(_filling(self.one, size), "JPEG", quality=90)

    def mosaic(self, size: Size) -> bytes:
        """Put smaller photos side by side at about their own size, to fill this size."""
        tiles = max(1, round(size.width / 2000))
        tile = Size(-(-size.width // tiles), -(-size.height // tiles))
        picture = Image.new("RGB", (size.width, size.height))
        for number in range(tiles * tiles):
            photo = _filling(self.several[number % len(self.several)], tile)
            picture.paste(photo, (number % tiles * tile.width, number // tiles * tile.height))
        return file_of(picture, "JPEG", quality=90)


def find_photos(folder: Path) -> Photos:
    """Find the photos under ``folder``, usually ``/usr/share``."""
    several = tuple(folder / name for name in SMALLER if (folder / name).exists())
    if not several or not (folder / CAMERA).exists():
        return Photos(SAMPLE, (SAMPLE,))
    return Photos(folder / CAMERA, several)


def _filling(path: Path, size: Size) -> Image.Image:
    """Cut the middle of a photo to the aspect of ``size``, and resize it."""
    with Image.open(path) as photo:
        rgb = photo.convert("RGB")
    rgb.info.clear()
    return ImageOps.fit(rgb, (size.width, size.height), Image.Resampling.LANCZOS)


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    """Write an image with Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def megapixels(size: Size) -> str:
    """Write a size as ``12 MP``."""
    return f"{size.pixels / 1e6:.2g} MP"
