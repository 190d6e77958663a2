"""Real photos at the sizes of phones and cameras, from Debian's wallpaper packages.

``apt-get install lomiri-wallpapers-20.04 mate-backgrounds plasma-workspace-wallpapers`` puts them
under ``/usr/share``. Without them there is the sample of 0.3 MP, enlarged: far softer than any
photo, so that its figures are of this code and not of photos.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from app.core.plan.geometry import Size

SAMPLE = Path(__file__).parents[1] / "docs" / "samples" / "rocket.jpg"
CAMERA = "backgrounds/Kleiber_by_Lukas_Baubkus.jpg"
"""6028×3391, the one photo among them with the pixels of a camera."""
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
"""2 to 5 MP, reduced from larger ones and often sharpened: harder than what a camera writes."""


@dataclass(frozen=True, slots=True)
class Photos:
    """``one``: a single photo. ``several``: the smaller ones, the hardest among the first nine."""

    one: Path
    several: tuple[Path, ...]

    @property
    def names(self) -> list[str]:
        return [str(Path(*path.parts[-4:])) for path in (self.one, *self.several)]

    def single(self, size: Size) -> bytes:
        """The one photo, cut to the aspect and brought to this size; a JPEG of quality 90."""
        return _jpeg(_filling(self.one, size))

    def mosaic(self, size: Size) -> bytes:
        """As many of the smaller photos as fit at about their own size, side by side."""
        tiles = max(1, round(size.width / 2000))
        tile = Size(-(-size.width // tiles), -(-size.height // tiles))
        picture = Image.new("RGB", (size.width, size.height))
        for number in range(tiles * tiles):
            photo = _filling(self.several[number % len(self.several)], tile)
            picture.paste(photo, (number % tiles * tile.width, number // tiles * tile.height))
        return _jpeg(picture)


def find_photos(folder: Path) -> Photos:
    """The photos under ``folder``, which is ``/usr/share`` where they are installed."""
    several = tuple(folder / name for name in SMALLER if (folder / name).exists())
    if not several or not (folder / CAMERA).exists():
        return Photos(SAMPLE, (SAMPLE,))
    return Photos(folder / CAMERA, several)


def _filling(path: Path, size: Size) -> Image.Image:
    """The middle of a photo that has the aspect of ``size``, at that size."""
    with Image.open(path) as photo:
        rgb = photo.convert("RGB")
    rgb.info.clear()
    return ImageOps.fit(rgb, (size.width, size.height), Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def megapixels(size: Size) -> str:
    """``12 MP``."""
    return f"{size.pixels / 1e6:.2g} MP"
