"""The files of the images that are looked at: drawn pictures, and their crops."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from app.core.plan.plan import CropPlan
from app.files import write_whole
from app.imaging.pictures import DEFAULT_SIDE_PX, Kind, draw, load_ground
from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.write.render import write
from app.report.crop_images import crop_images
from app.report.experiment import ImageFiles


@dataclass(frozen=True, slots=True)
class Drawing:
    """One image to be drawn into a folder. ``path`` None: only its size is known."""

    plan: CropPlan
    path: Path | None
    files: ImageFiles
    folder: Path
    max_pixels: int


def files_of(image_id: int | str, plan: CropPlan, *, is_there: bool, crops: bool) -> ImageFiles:
    """The names of what is written for an image.

    Args:
        image_id: as it can be part of a file name.
        plan: of the image.
        is_there: whether there is a file of it, and not only a size.
        crops: whether the original and each of its crops are written, too.
    """
    name, prefix = f"exp6_crop_overlap_image_{image_id}", f"crops/image_{image_id}"
    drawn = ImageFiles(crops=f"{name}_crops.png", statistics=f"{name}_statistics.png")
    if not is_there:
        return drawn
    grid = tuple(f"{prefix}_crop_{index:02d}.png" for index in range(plan.grid.crops))
    return ImageFiles(
        crops=drawn.crops,
        statistics=drawn.statistics,
        comparison=f"{name}_comparison.png",
        original=f"{prefix}_original.png" if crops else None,
        global_crop=f"{prefix}_global.png" if crops else None,
        grid_crops=grid if crops else (),
    )


def draw_all(
    drawings: Sequence[Drawing], workers: int, progress: Callable[[int, int], None]
) -> None:
    """Write the files of every image; what is interrupted is not there.

    Args:
        drawings: of distinct images.
        workers: processes; 1 draws here.
        progress: called with how many steps are done, and of how many.
    """
    parts = 2 * len(drawings)
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        progress(done, parts)

    workers = min(workers, len(drawings))
    if workers == 1:
        for drawing in drawings:
            for make in (draw_pictures, write_crops):
                make(drawing)
                one_more()
        return
    with _processes(workers) as pool:
        with _interrupts_held():  # a pool starts its processes as it is given work
            drawn = [pool.submit(draw_pictures, drawing) for drawing in drawings]
        for drawing in drawings:  # here meanwhile, as it takes torch, which is slow to import
            write_crops(drawing)
            one_more()
        for future in as_completed(drawn):
            future.result()
            one_more()


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that ends early when something goes wrong, after what is being drawn just then.

    New processes, not copies of this one: torch's threads do not survive that.
    """
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_ignore_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, and the parent alone decides.

    Processes that are started meanwhile never see it, not even while they import what they need;
    here it waits until afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_interrupts() -> None:
    """What is left to do where they could not be held."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def draw_pictures(drawing: Drawing) -> None:
    """Write the drawn pictures of one image."""
    image = _load_reduced(drawing)
    kinds: tuple[tuple[Kind, str | None], ...] = (
        ("crops", drawing.files.crops),
        ("comparison", drawing.files.comparison),
        ("statistics", drawing.files.statistics),
    )
    for kind, name in kinds:
        if name is not None:
            write_whole(drawing.folder / name, draw(kind, drawing.plan, image))


def write_crops(drawing: Drawing) -> None:
    """Write the original and its crops, where they are wanted."""
    files = drawing.files
    if files.original is None or files.global_crop is None:
        return
    assert drawing.path is not None, "an original is written only of an image that is there"
    image = decode(drawing.path.read_bytes(), max_pixels=drawing.max_pixels).pixels
    images = [image, *crop_images(image, drawing.plan)]
    names = [files.original, files.global_crop, *files.grid_crops]
    for name, one in zip(names, images, strict=True):
        write_whole(drawing.folder / name, write(one, "png", None, None))


def _load_reduced(drawing: Drawing) -> Image.Image | None:
    """The image no larger than it is drawn; None where only its size is known."""
    if drawing.path is None:
        return None
    data, limit = drawing.path.read_bytes(), drawing.max_pixels
    facts = look(data, max_pixels=limit)
    return load_ground(data, facts, max_pixels=limit, side_px=DEFAULT_SIDE_PX)
