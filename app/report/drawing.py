"""Write the files of the examined images: drawn pictures and crops."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from app.core.plan.plan import CropPlan
from app.files import write_whole
from app.imaging.pictures import DEFAULT_SIDE_PX, Kind, draw, load_ground
from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.write.render import write
from app.report.dataset.images import DatasetImage
from app.report.experiment import Examined, ImageFiles


def files_of(image: DatasetImage, plan: CropPlan, *, crops: bool) -> ImageFiles:
    """Name the files of an image; ``crops`` also names the original and each of its crops."""
    name, prefix = f"exp6_crop_overlap_image_{image.image_id}", f"crops/image_{image.image_id}"
    grid = tuple(f"{prefix}_crop_{index:02d}.png" for index in range(plan.grid.crops))
    is_there = image.path is not None
    crops = crops and is_there
    return ImageFiles(
        crops=f"{name}_crops.png",
        statistics=f"{name}_statistics.png",
        comparison=f"{name}_comparison.png" if is_there else None,
        original=f"{prefix}_original.png" if crops else None,
        global_crop=f"{prefix}_global.png" if crops else None,
        grid_crops=grid if crops else (),
    )


def draw_all(
    images: Sequence[Examined],
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None],
    *,
    max_pixels: int,
) -> None:
    """Write the files of every image. An interrupted file is absent.

    Args:
        images: distinct images.
        folder: of the files.
        workers: processes; with 1, this process draws.
        progress: called with the number of steps done and the number of all steps.
        max_pixels: of an image that is decoded.
    """
    done = count(1)

    def one_more() -> None:
        progress(next(done), 2 * len(images))

    workers = min(workers, len(images))
    if workers == 1:
        for image in images:
            for make in (draw_pictures, write_crops):
                make(image, folder, max_pixels)
                one_more()
        return
    with _processes(workers) as pool:
        with _interrupts_held():  # submitting starts the processes
            drawn = [pool.submit(draw_pictures, image, folder, max_pixels) for image in images]
        for image in images:  # here meanwhile: crops need torch, slow to import
            write_crops(image, folder, max_pixels)
            one_more()
        for future in as_completed(drawn):
            future.result()
            one_more()


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes; after an error the pool ends without the pending drawings.

    The processes are spawned: torch's threads do not survive a fork.
    """
    # For systems that cannot block a signal: each process ignores Ctrl-C.
    ignored = (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, ignored)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back from the processes started here.

    A terminal sends Ctrl-C to every process, and the parent alone must decide. A process inherits
    the blocked signal and never sees it, not even during imports. In the parent the signal waits.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def draw_pictures(one: Examined, folder: Path, max_pixels: int) -> None:
    """Write the drawn pictures of one image, over the image in the size of its drawing."""
    ground = None
    if one.image.path is not None:
        data = one.image.path.read_bytes()
        facts = look(data, max_pixels=max_pixels)
        ground = load_ground(data, facts, max_pixels=max_pixels, side_px=DEFAULT_SIDE_PX)
    kinds: tuple[tuple[Kind, str | None], ...] = (
        ("crops", one.files.crops),
        ("comparison", one.files.comparison),
        ("statistics", one.files.statistics),
    )
    for kind, name in kinds:
        if name is not None:
            write_whole(folder / name, draw(kind, one.plan, ground))


def write_crops(one: Examined, folder: Path, max_pixels: int) -> None:
    """Write the original and its crops, if they have names."""
    files, path = one.files, one.image.path
    if files.original is None or files.global_crop is None:
        return
    assert path is not None, "an original is written only of an image that is there"
    image = decode(path.read_bytes(), max_pixels=max_pixels).pixels
    images = [image, *crop_images(image, one.plan)]
    names = [files.original, files.global_crop, *files.grid_crops]
    for name, pixels in zip(names, images, strict=True):
        write_whole(folder / name, write(pixels, "png", None, None))


def crop_images(image: Image.Image, plan: CropPlan) -> list[Image.Image]:
    """Return the crops of an image with the pixels that the network gets.

    The encoder's own preprocessing makes the crops, and a test compares its values with the
    reference's. Here its normalisation is undone and rounded to 8 bits. Padding is black.

    Args:
        image: upright RGB of the plan's size.
        plan: of the image.

    Returns:
        The global crop, then the grid crops in order: RGB, ``crop_size_px`` on each side.
    """
    import numpy as np
    import torch  # late: torch takes seconds to import

    from app.encoder.network.preprocess import image_to_patches

    law = plan.config.family.preprocessing
    side, patch = plan.config.crop_patches, plan.config.patch_size_px
    with torch.inference_mode():
        patches = image_to_patches(np.asarray(image), plan)  # [crops, side**2, patch**2 * 3]
        values = patches.reshape(-1, side, side, patch, patch, 3).permute(0, 1, 3, 2, 4, 5)
        rgb = values.reshape(-1, side * patch, side * patch, 3)
        rgb = rgb * torch.tensor(law.std) + torch.tensor(law.mean)
        levels = (rgb * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return [Image.fromarray(crop) for crop in levels]
