import io

import pytest
from PIL import Image


@pytest.fixture
def photo(photo_bytes) -> Image.Image:
    """The sample photo as 640×427 RGB."""
    with Image.open(io.BytesIO(photo_bytes)) as image:
        return image.convert("RGB")
