"""Measure peak memory and throughput of the real server under large uploads (Linux)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from app.core.plan.geometry import Size
from app.core.statistics import shuffled_rounds
from app.settings import Settings
from benchmarks.photos import Photos
from benchmarks.serving import Server, serving

UPLOADS = 45
MANY_WORKERS = 40
"""Threads that anyio, and so FastAPI, has by default."""
CALL = "/resize?tiling=3x4&mode=stretch&quality=90"


def measure_uploads(photos: Photos, count: int) -> list[dict[str, Any]]:
    """Send 45 uploads of 12 MP at once, to 40 workers and to the default; each to a new server."""
    image = photos.single(Size(4032, 3024))
    rows = [
        _measure(image, workers)
        for order in shuffled_rounds([MANY_WORKERS, Settings().workers], count)
        for workers in order
    ]
    for row in rows:
        print(
            f"  {UPLOADS} uploads, {row['workers']} workers: {row['uploads_per_s']:.1f} a second, "
            f"{row['cpu_ms_per_upload']:.0f} ms of CPU each, "
            f"memory from {row['idle_mb']:.0f} to {row['peak_mb']:.0f} MB"
        )
    return rows


def _measure(image: bytes, workers: int) -> dict[str, Any]:
    settings = {
        "encoder": "false",
        "image_workers": workers,
        "image_queue": UPLOADS,
        "log_level": "warning",
    }
    with serving(settings) as server:
        asyncio.run(_upload_together(server, image, 1))  # not counted
        idle, cpu_before = _peak_mb(server), server.cpu_s()
        began = time.perf_counter()
        asyncio.run(_upload_together(server, image, UPLOADS))
        seconds, cpu_after = time.perf_counter() - began, server.cpu_s()
        assert cpu_before is not None
        assert cpu_after is not None
        return {
            "workers": workers,
            "idle_mb": idle,
            "peak_mb": _peak_mb(server),
            "uploads_per_s": UPLOADS / seconds,
            "cpu_ms_per_upload": (cpu_after - cpu_before) * 1e3 / UPLOADS,
        }


async def _upload_together(server: Server, image: bytes, count: int) -> None:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as http:
        headers = {"Content-Type": "image/jpeg"}
        answers = await asyncio.gather(
            *(http.post(CALL, content=image, headers=headers) for _ in range(count))
        )
    for answer in answers:
        answer.raise_for_status()


def _peak_mb(server: Server) -> float:
    """Return the most memory of the process so far."""
    lines = Path(f"/proc/{server.process_id}/status").read_text(encoding="ascii").splitlines()
    high_water = next(line for line in lines if line.startswith("VmHWM"))
    return int(high_water.split()[1]) * 1024 / 1e6
