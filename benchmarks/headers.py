"""Time the facts from headers, and compare them with decoding over all image files found.

``python -m benchmarks.headers FOLDER…`` surveys the image files in these folders, too.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from app.core.errors import CropPlannerError
from app.core.image import ImageFacts
from app.imaging.read.decode import Picture, decode
from app.imaging.read.header import glance, is_whole, look
from app.imaging.read.opening import format_of, open_image
from benchmarks.photos import SAMPLE, file_of
from benchmarks.timing import run

LIMIT_PX = 64_000_000
ROUNDS = 15
REPEATS = 200


def main() -> None:
    """Print and save the times, and a survey of the folders on the command line."""
    roots = [Path(argument) for argument in sys.argv[1:] if Path(argument).is_dir()]
    facts = {"survey": survey(roots)} if roots else {}
    print(*facts.values(), sep="\n", end="\n" if facts else "")
    work = variants()
    run(
        "headers",
        "Facts from headers",
        {name: partial(_repeated, call) for name, call in work.items()},
        count=ROUNDS,
        unit="µs",
        each=REPEATS,
        ratios=[(name, f"SHA-256 of {name}") for name in work if not name.startswith("SHA")],
        **facts,
    )


def variants() -> dict[str, Callable[[], object]]:
    """Read the facts of an upload, and hash its bytes: the facts contain the hash."""
    exif = Image.Exif()
    exif.update({0x010F: "maker", 0x0110: "model", 0x0112: 6, 0x0131: "software"})
    with Image.open(SAMPLE) as photo:
        jpeg = file_of(photo.resize((1600, 1200)), "JPEG", quality=90, exif=exif.tobytes())
        png = file_of(photo.resize((1000, 750)), "PNG", exif=exif.tobytes())
    made: dict[str, Callable[[], object]] = {}
    for form, read, data in (("JPEG", glance, jpeg), ("PNG", look, png)):
        name = f"{form} of {len(data) // 1000} KB"
        made[name] = partial(read, data, max_pixels=LIMIT_PX)
        made[f"SHA-256 of {name}"] = partial(_hash, data)
    return made


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def survey(roots: list[Path]) -> dict[str, Any]:
    """Count the files by the way to their facts, and name the files with other facts."""
    ways: Counter[str] = Counter()
    differ = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damaged files
        for path, data in _distinct_files(roots):
            decoded, looked = _outcome(decode, data), _outcome(look, data)
            ways[_way(data, refused=isinstance(decoded, CropPlannerError))] += 1
            if repr(decoded) != repr(looked):
                differ.append(path.name)
    return {"files": ways.total(), "ways": dict(ways), "differ": differ}


def _outcome(read: Callable[..., Picture | ImageFacts], data: bytes) -> object:
    """Return the facts, or the error."""
    try:
        found = read(data, max_pixels=LIMIT_PX)
    except CropPlannerError as error:
        return error
    return found.facts if isinstance(found, Picture) else found


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


def _repeated(work: Callable[[], object]) -> None:
    for _ in range(REPEATS):
        work()


if __name__ == "__main__":
    main()
