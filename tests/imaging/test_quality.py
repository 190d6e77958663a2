"""Quality: the library's own figures where all is compared, near them where a sample is."""

import threading
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from app.core.control.resizing import Target, decide_resize
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Box, Size
from app.imaging.quality import ImageQuality, QualityMeter, spread_tiles

LANCZOS = Image.Resampling.LANCZOS
WANG = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
}
PERFECT = ImageQuality(ssim=1.0, psnr_db=None)


def there_and_back(luma: Image.Image, size: Size, source: Box | None = None) -> np.ndarray:
    """The definition, carried out on the whole picture."""
    source = source or Box(0, 0, luma.width, luma.height)
    small = luma.resize((size.width, size.height), LANCZOS, box=source.as_tuple())
    x0, y0, x1, y1 = ceil(source.x0), ceil(source.y0), floor(source.x1), floor(source.y1)
    wide, high = size.width / (source.x1 - source.x0), size.height / (source.y1 - source.y0)
    place = (
        (x0 - source.x0) * wide,
        (y0 - source.y0) * high,
        min((x1 - source.x0) * wide, size.width),
        min((y1 - source.y0) * high, size.height),
    )
    whole = Image.new("L", luma.size)
    whole.paste(small.resize((x1 - x0, y1 - y0), LANCZOS, box=place), (x0, y0))
    return np.asarray(whole)


@pytest.fixture
def large(photo) -> Image.Image:
    """2.5 MP with detail at its own scale, which plain enlarging would not have."""
    enlarged = photo.resize((1920, 1281), LANCZOS)
    noise = Image.effect_noise(enlarged.size, 20).convert("RGB")
    return Image.blend(enlarged, noise, 0.15)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("size", [Size(320, 214), Size(100, 300), Size(639, 426), Size(900, 600)])
def test_where_all_is_compared_it_is_what_the_library_says(photo, size):
    """Of the luma, there and back, at the original's size."""
    luma = photo.convert("L")
    after = there_and_back(luma, size)
    quality = QualityMeter(photo).at(size)
    wanted = structural_similarity(np.asarray(luma), after, **WANG)
    assert quality.ssim == pytest.approx(wanted, abs=1e-6)
    wanted_db = peak_signal_noise_ratio(np.asarray(luma), after)
    assert quality.psnr_db == pytest.approx(wanted_db, abs=1e-3)


def test_luma_of_the_resized_picture_is_its_resized_luma(photo):
    """Up to rounding, and clipping of one colour: what is measured is what is handed out."""
    for size in ((320, 214), (112, 75), (900, 600)):
        colour = photo.resize(size, LANCZOS).convert("L")
        luma = photo.convert("L").resize(size, LANCZOS)
        differences = np.abs(np.asarray(colour, dtype=int) - np.asarray(luma))
        assert differences.mean() < 0.5
        after = [np.asarray(part.resize(photo.size, LANCZOS)) for part in (colour, luma)]
        of_colour, of_luma = (
            structural_similarity(np.asarray(photo.convert("L")), one, **WANG) for one in after
        )
        assert of_colour == pytest.approx(of_luma, abs=2e-3)


def test_the_same_size_loses_nothing(photo, large):
    for image in (photo, large, picture(1, 1), picture(5, 3)):
        assert QualityMeter(image).at(Size(*image.size)) == PERFECT


def test_enlarging_loses_next_to_nothing(photo):
    quality = QualityMeter(photo).at(Size(784, 523))
    assert 0.99 < quality.ssim <= 1
    assert quality.psnr_db > 40


def test_of_one_aspect_smaller_is_never_better(photo, large):
    for image in (photo, large):
        meter = QualityMeter(image)
        sizes = [Size(image.width * part // 16, image.height * part // 16) for part in range(1, 17)]
        qualities = [meter.at(size) for size in sizes]
        assert qualities == sorted(qualities, key=lambda quality: quality.ssim)
        decibels = [quality.psnr_db for quality in qualities[:-1]]
        assert decibels == sorted(decibels)


def test_a_sample_stands_for_the_whole(large):
    """At tiles of the original's own scale: the values of all of it, not those of a smaller one."""
    sampled = QualityMeter(large)
    assert 0.7 * 500_000 < sampled.compared_px <= 500_000
    whole = QualityMeter(large, most_px=large.width * large.height)
    assert whole.compared_px == large.width * large.height
    for size in (Size(336, 224), Size(784, 523), Size(500, 900), Size(2000, 1334)):
        one, other = sampled.at(size), whole.at(size)
        assert one.ssim == pytest.approx(other.ssim, abs=0.015)
        assert one.psnr_db == pytest.approx(other.psnr_db, abs=1)


@pytest.mark.parametrize("size", [Size(336, 224), Size(1000, 200), Size(3000, 2002)])
def test_a_sample_is_a_part_of_the_whole(large, size):
    """Its tiles come out as they would with everything around them: no edge of theirs shows."""
    luma = large.convert("L")
    before, after = np.asarray(luma), there_and_back(luma, size)
    _, similarity = structural_similarity(before, after, full=True, **WANG)
    tiles = spread_tiles(Box(0, 0, *large.size), 500_000)
    places = [(slice(int(t.y0), int(t.y1)), slice(int(t.x0), int(t.x1))) for t in tiles]
    quality = QualityMeter(large, most_px=500_000).at(size)
    wanted = np.mean([similarity[place][5:-5, 5:-5].mean() for place in places])
    assert quality.ssim == pytest.approx(wanted, abs=1e-4)
    errors = [np.square(before[place].astype(float) - after[place]).mean() for place in places]
    assert quality.psnr_db == pytest.approx(10 * np.log10(255**2 / np.mean(errors)), abs=0.01)


@pytest.mark.parametrize("most_px", [10**9, 100_000])
def test_what_is_cut_away_is_lost(photo, most_px):
    """The retained part is measured as ever, the rest as black; each counts by its share."""
    meter = QualityMeter(photo, most_px=most_px)
    source = Box(106.5, 0, 533.5, 427)
    size = Size(336, 336)
    after = there_and_back(photo.convert("L"), size, source)
    wanted = structural_similarity(np.asarray(photo.convert("L")), after, **WANG)
    cut, all_of_it = meter.at(size, source), meter.at(size)
    assert cut.ssim == pytest.approx(wanted, abs=0.02)
    wanted_db = peak_signal_noise_ratio(np.asarray(photo.convert("L")), after)
    assert cut.psnr_db == pytest.approx(wanted_db, abs=0.5)
    assert cut.ssim < all_of_it.ssim - 0.1
    assert cut.psnr_db < all_of_it.psnr_db - 5


def test_a_narrow_strip_that_is_cut_away_shows_in_a_sample(large):
    """Though no tile of the whole would lie in it."""
    quality = QualityMeter(large).at(Size(1920, 1261), Box(0, 10, 1920, 1271))
    lost = np.asarray(large.convert("L")).astype(float)
    lost[10:1271] = 0
    wanted = 10 * np.log10(255**2 / (lost**2).mean())
    assert quality.psnr_db == pytest.approx(wanted, abs=1.5)


@settings(max_examples=40)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 120), st.integers(1, 120),
    st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from([10**9, 1500]),
)  # fmt: skip
def test_every_picture_size_and_part_has_a_quality(width, height, to_width, to_height, part, most):
    """Within its range, however small: a picture smaller than a window is mirrored to one."""
    x0, x1 = sorted((part[0] * width, part[1] * width))
    y0, y1 = sorted((part[2] * height, part[3] * height))
    source = Box(x0, y0, x1, y1) if (x1 - x0) * (y1 - y0) > 0 else None
    quality = QualityMeter(picture(width, height), most_px=most).at(
        Size(to_width, to_height), source
    )
    assert -1 <= quality.ssim <= 1
    assert quality.psnr_db is None or quality.psnr_db > 0


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (1200, 900)])
def test_a_flat_picture_survives_anything(value, size):
    meter = QualityMeter(Image.new("RGB", size, (value, value, value)))
    assert meter.at(Size(1, 1)) == meter.at(Size(300, 7)) == PERFECT


@pytest.mark.parametrize("shape", [(1, 300_000), (300_000, 1), (3, 200_000)])
def test_a_thread_of_pixels_is_measured_without_a_heap_of_them(shape):
    """Mirroring makes each tile as wide as a window, so fewer of them are taken."""
    meter = QualityMeter(picture(*shape))
    assert meter.compared_px <= 500_000 * 3 / 11
    assert -1 <= meter.at(Size(*(max(1, side // 3) for side in shape))).ssim < 1


def test_turning_the_picture_changes_nothing(photo):
    """But which axis is resized, and rounded, first."""
    turned = photo.transpose(Image.Transpose.TRANSPOSE)
    for size in (Size(200, 133), Size(90, 400)):
        one = QualityMeter(photo).at(size)
        other = QualityMeter(turned).at(Size(size.height, size.width))
        assert one.ssim == pytest.approx(other.ssim, abs=1e-4)
        assert one.psnr_db == pytest.approx(other.psnr_db, abs=0.01)


def test_grey_is_measured_like_its_colours(photo):
    grey = photo.convert("L")
    size = Size(200, 133)
    assert QualityMeter(grey).at(size) == QualityMeter(grey.convert("RGB")).at(size)


def test_an_answer_is_remembered(photo):
    meter = QualityMeter(photo)
    assert meter.at(Size(100, 70)) is meter.at(Size(100, 70), Box(0, 0, 640, 427))


@pytest.mark.parametrize("source", [Box(0, 0, 641, 427), Box(-1, 0, 9, 9), Box(5, 5, 5, 9)])
def test_a_part_that_is_not_of_the_picture_is_refused(photo, source):
    with pytest.raises(ValueError, match="no part of a picture of 640x427 px"):
        QualityMeter(photo).at(Size(10, 10), source)


@pytest.mark.parametrize("mode", ["fit", "pad", "crop", "stretch"])
def test_every_decision_can_be_measured(photo, mode):
    """Its content's size and its source are what to ask for."""
    config = make_config(FAMILIES["molmo-7b-d-0924"])
    decision = decide_resize(Size(640, 427), config, Target(crops=4), mode=mode).decision
    placed = decision.placed
    content = Size(int(placed.x1 - placed.x0), int(placed.y1 - placed.y0))
    quality = QualityMeter(photo).at(content, decision.source)
    assert (0.5 < quality.ssim < 0.8) if mode == "crop" else (0.9 < quality.ssim < 1)


def test_no_thread_is_started(photo):
    """Work on pixels is limited to the cores elsewhere, by who calls this."""
    QualityMeter(photo).at(Size(100, 70))
    before = threading.active_count(), _tasks()
    QualityMeter(photo).at(Size(300, 200))
    assert (threading.active_count(), _tasks()) == before


def _tasks() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0
