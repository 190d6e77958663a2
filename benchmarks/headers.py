"""Facts from headers beside decoding: the same answer on every file found, and what it takes.

``python -m benchmarks.headers FOLDER…`` surveys the image files in these folders, too.
"""

from __future__ import annotations

import hashlib
import io
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from app.core.errors import CropPlannerError
from app.core.image import ImageFacts
from app.imaging.read.complete import is_whole
from app.imaging.read.decode import decode
from app.imaging.read.header import glance, look
from app.imaging.read.opening import format_of, open_image
from benchmarks.photos import SAMPLE
from benchmarks.timing import rounds, save

LIMIT_PX = 64_000_000
ROUNDS = 15
REPEATS = 200


def main() -> None:
    """Print and save the figures; the survey only if folders are given."""
    roots = [Path(argument) for argument in sys.argv[1:] if Path(argument).is_dir()]
    print(f"Facts from headers, {ROUNDS} rounds of {REPEATS}")
    result: dict[str, Any] = {"us": timings()}
    for name, us in result["us"].items():
        print(f"  {name:<34}{us:10.1f} µs (median)")
    if roots:
        result["survey"] = survey(roots)
        print(f"  {result['survey']}")
    print(f"  saved as benchmarks/results/{save('headers', result).name}")


def timings() -> dict[str, float]:
    """Measure the median µs of all facts, and of the hash among them."""
    photo = Image.open(SAMPLE)
    exif = Image.Exif()
    exif.update({0x010F: "maker", 0x0110: "model", 0x0112: 6, 0x0131: "software"})
    jpeg = _bytes(photo.resize((1600, 1200)), "JPEG", quality=90, exif=exif.tobytes())
    png = _bytes(photo.resize((4000, 3000)), "PNG", exif=exif.tobytes())
    variants: dict[str, Callable[[], object]] = {
        f"all facts of a JPEG of {len(jpeg) // 1000} KB": lambda: glance(jpeg, max_pixels=LIMIT_PX),
        "  its SHA-256 in that": lambda: hashlib.sha256(jpeg).hexdigest(),
        f"all facts of a PNG of {len(png) // 1000} KB": lambda: look(png, max_pixels=LIMIT_PX),
        "  its SHA-256 in that ": lambda: hashlib.sha256(png).hexdigest(),
    }
    repeated = {name: _repeated(work) for name, work in variants.items()}
    seconds = rounds(repeated, ROUNDS)
    return {name: statistics.median(seconds[name]) / REPEATS * 1e6 for name in variants}


def survey(roots: list[Path]) -> dict[str, Any]:
    """How many files, by which way, and which differ."""
    ways: Counter[str] = Counter()
    differ = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damaged files
        for path, data in _distinct_files(roots):
            decoded, looked = _outcome(_decode, data), _outcome(_look, data)
            ways[_way(data, refused=isinstance(decoded, CropPlannerError))] += 1
            if repr(decoded) != repr(looked):
                differ.append(path.name)
    return {"files": ways.total(), "ways": dict(ways), "differ": differ}


def _decode(data: bytes) -> ImageFacts:
    return decode(data, max_pixels=LIMIT_PX).facts


def _look(data: bytes) -> ImageFacts:
    return look(data, max_pixels=LIMIT_PX)


def _outcome(work: Callable[[bytes], ImageFacts], data: bytes) -> ImageFacts | CropPlannerError:
    try:
        return work(data)
    except CropPlannerError as error:
        return error


def _way(data: bytes, *, refused: bool) -> str:
    if refused:
        return "refused"
    if glance(data, max_pixels=LIMIT_PX) is not None:
        return "at a glance"
    return "lazy opening" if is_whole(open_image(data, LIMIT_PX), data) else "decoded"


def _distinct_files(roots: list[Path]) -> Iterator[tuple[Path, bytes]]:
    seen = set()
    for root in roots:
        for path in root.rglob("*"):
            if path.is_symlink() or not path.is_file() or path.stat().st_size > 64 * 2**20:
                continue
            with path.open("rb") as file:
                data = file.read(16)
                if not format_of(data):
                    continue
                data += file.read()
            digest = hashlib.sha256(data).digest()
            if digest not in seen:
                seen.add(digest)
                yield path, data


def _repeated(work: Callable[[], object]) -> Callable[[], object]:
    return lambda: [work() for _ in range(REPEATS)]


def _bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
