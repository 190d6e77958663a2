"""What tests of the HTTP contract share."""

import asyncio
import io
import time

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


async def ready(client, profile: str | None = None, seconds: float = 120) -> None:
    """Wait until the encoder is loaded, and its profile is as far as ``profile`` says."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = await client.get("/readyz")
        if answer.status_code == 200 and profile in (None, answer.json()["encoder"]["profile"]):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("never ready")
