"""The ways that are held against each other make the same picture, or their times mean nothing."""

import io

import pytest
from PIL import Image

from app.core.plan.geometry import Size
from benchmarks.photos import find_photos
from benchmarks.pixel_paths import pillow, psnr_db, ways


@pytest.mark.parametrize("name", list(ways()))
@pytest.mark.parametrize("size", [Size(336, 224), Size(100, 70)])
def test_every_way_makes_the_same_picture(photo_bytes, name, size):
    """Of the size that is asked for, as pixels and as a JPEG."""
    encoded, pixels = ways()[name]
    made = pixels(photo_bytes, size)
    assert made.size == (size.width, size.height)
    assert psnr_db(made, pillow(photo_bytes, size)) > 40
    with Image.open(io.BytesIO(encoded(photo_bytes, size))) as image:
        assert (image.format, image.size) == ("JPEG", made.size)


def test_without_photos_there_is_the_sample(tmp_path):
    photos = find_photos(tmp_path)
    for data in (photos.single(Size(600, 400)), photos.mosaic(Size(600, 400))):
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (600, 400)
