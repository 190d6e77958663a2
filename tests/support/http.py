"""What tests of the HTTP contract share."""

import io

from PIL import Image

JPEG = {"content-type": "image/jpeg"}


def image_bytes(width: int, height: int, form: str = "JPEG", orientation: int | None = None):
    image = Image.effect_noise((width, height), 50).convert("RGB")
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(buffer, form, exif=exif.tobytes())
    return buffer.getvalue()


def check_problem(response, status: int, slug: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"urn:crop-planner:problem:{slug}"
    assert body["title"]
    assert body["detail"]
    return body


async def ready(client) -> None:
    """Wait until the encoder is loaded."""
    for _ in range(500):
        if (await client.get("/readyz")).status_code == 200:
            return
    raise AssertionError("never ready")
