"""Compare the ways from a JPEG to a resized JPEG with Pillow's full decoding: time and likeness.

The likeness of decoding at a scale is taken over many photos, and a PNG is written at several
levels. ``--upload-rounds`` measures memory and throughput of the real server.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from app.core.plan.geometry import Box, Size
from app.core.statistics import Comparison
from app.encoder.device.device import device_name
from app.imaging.read.header import look
from app.imaging.write.raster import HALF_FROM, QUARTER_FROM, load_raster
from app.imaging.write.render import write
from benchmarks.conditions import device_slug
from benchmarks.photos import Photos, file_of, find_photos, megapixels
from benchmarks.pixel_paths import LIMIT_PX, pillow, psnr_db, ways
from benchmarks.timing import finish, rounds
from benchmarks.uploads import measure_uploads

TASKS = (
    (Size(1632, 1224), Size(1008, 784)),
    (Size(4032, 3024), Size(1008, 784)),
    (Size(4032, 3024), Size(560, 448)),
    (Size(6000, 4000), Size(1008, 784)),
    (Size(840, 640), Size(1008, 784)),  # mildly enlarged
)
PNG_LEVELS = (6, 3, 1)


def main(arguments: list[str] | None = None) -> None:
    """Print and save the figures."""
    options = _options(arguments)
    photos = find_photos(options.photos)
    device = device_name(torch.device("cpu"))
    print(f"Pixels, {device}, {', '.join(_versions().values())}")
    print(f"  photos: {', '.join(photos.names)}")
    result = {
        "tasks": [_task(photos, original, size, options.rounds) for original, size in TASKS],
        "scales": _scales(photos),
        "png": _png(photos, options.rounds),
        "uploads": measure_uploads(photos, options.upload_rounds) if options.upload_rounds else [],
    }
    finish(
        f"pixels_{device_slug(torch.device('cpu'))}_pillow-{metadata.version('pillow')}",
        {"device": device, "versions": _versions(), "photos": photos.names, **result},
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("/usr/share"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--upload-rounds", type=int, default=3, help="0: no server")
    return parser.parse_args(arguments)


def _task(photos: Photos, original: Size, size: Size, count: int) -> dict[str, Any]:
    """Return a row of the table: the time of each way as a share of Pillow's, and its likeness."""
    row: dict[str, Any] = {"original": str(original), "size": str(size)}
    print(f"  {megapixels(original)} ({original}) to {size}")
    for subject, make in (("single", photos.single), ("mosaic", photos.mosaic)):
        data = make(original)
        wanted = pillow(data, size)
        seconds = rounds(
            {name: partial(way, data, size) for name, (way, _) in ways().items()}, count
        )
        row[subject] = {"bytes": len(data)} | {
            name: {
                **_share(seconds[name], seconds["pillow"]),
                "psnr_db": None if name == "pillow" else psnr_db(pixels(data, size), wanted),
            }
            for name, (_, pixels) in ways().items()
        }
        for name in ways():
            _print_row(subject, name, row[subject][name])
    return row


def _share(seconds: Sequence[float], of: Sequence[float]) -> dict[str, Any]:
    paired = Comparison.paired(seconds, of)
    return {
        "ms": statistics.median(seconds) * 1e3,
        "ratio": paired.ratio,
        "interval": [paired.low, paired.high],
    }


def _print_row(subject: str, name: str, row: Mapping[str, Any]) -> None:
    likeness = "" if row["psnr_db"] is None else f"{row['psnr_db']:6.1f} dB"
    low, high = row["interval"]
    print(
        f"    {subject:<8}{name:<14}{row['ms']:7.1f} ms  {row['ratio']:.3f} "
        f"({low:.3f} to {high:.3f})  {likeness}"
    )


def _scales(photos: Photos) -> list[dict[str, Any]]:
    """Return the likeness to full decoding at the least reduction of each scale."""
    rows = []
    for reduction in (HALF_FROM, QUARTER_FROM):
        likeness = [_likeness(path, reduction) for path in (photos.one, *photos.several)]
        rows.append({"reduction": reduction, "psnr_db": likeness})
        print(
            f"  reduced {reduction:g} times, {len(likeness)} photos: "
            f"median {statistics.median(likeness):.1f} dB, "
            f"{min(likeness):.1f} to {max(likeness):.1f}"
        )
    return rows


def _likeness(path: Path, reduction: float) -> float:
    data = path.read_bytes()
    facts = look(data, max_pixels=LIMIT_PX)
    whole = Box(0, 0, facts.size.width, facts.size.height)
    size = Size(int(facts.size.width / reduction), int(facts.size.height / reduction))
    full, scaled = (
        load_raster(data, facts, max_pixels=LIMIT_PX, reduction=at).resized(whole, size, "lanczos")
        for at in (1, reduction)
    )
    return psnr_db(scaled, full)


def _png(photos: Photos, count: int) -> dict[str, Any]:
    """Compare our PNG with zlib's levels: share of level 6 in time and in bytes."""
    size = Size(1008, 784)
    rows: dict[str, Any] = {}
    for subject, make in (("single", photos.single), ("mosaic", photos.mosaic)):
        image = pillow(make(Size(4032, 3024)), size)
        makers: dict[str, Callable[[], bytes]] = {
            f"level {level}": partial(file_of, image, "PNG", compress_level=level)
            for level in PNG_LEVELS
        }
        makers["ours"] = partial(write, image, "png", None, None)
        seconds = rounds(makers, count)
        smallest = len(makers["level 6"]())
        rows[subject] = {
            name: {**_share(seconds[name], seconds["level 6"]), "size": len(make_png()) / smallest}
            for name, make_png in makers.items()
        }
        for name, row in rows[subject].items():
            print(
                f"  PNG {subject:<8}{name:<10}{row['ms']:7.1f} ms  {row['ratio']:.3f} of the time, "
                f"{row['size']:.2f} of the bytes"
            )
    return rows


def _versions() -> dict[str, str]:
    found = {}
    for package in ("pillow", "cykooz-resizer", "pyvips", "pyvips-binary"):
        try:
            found[package] = f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
