"""What a timing does in which order, and what becomes of images that cannot be timed."""

import gc
import weakref
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.timed import FakeTimedEncoder, Thrice

from app.core.errors import EncoderMismatch, OutOfDeviceMemory
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.report.dataset.images import Dataset, DatasetImage, open_dataset
from app.report.errors import InvalidDataset, Skipped
from app.report.timing import component_timing
from app.report.timing.component_timing import choose_subjects, time_components
from app.report.timing.components import Subject

PHOTO = Path(__file__).parents[3] / "docs" / "samples" / "rocket.jpg"
LIMIT = 10_000_000
CONFIG = make_config(family_named("molmo-7b-d-0924"))
SIZES = {
    "a.png": (504, 336),  # 1x2
    "b.png": (300, 300),  # 1x1
    "c.jpg": (336, 504),  # 2x1: as many crops as a, in another tiling
    "d.png": (336, 224),  # 1x1
    "e.webp": (560, 374),  # 2x2
}


@pytest.fixture
def folder(tmp_path):
    """Five photos of four tilings."""
    for name, size in SIZES.items():
        photo(size, tmp_path / name)
    return tmp_path


@pytest.fixture
def encoder():
    return FakeTimedEncoder()


def photo(size, path):
    with Image.open(PHOTO) as image:
        image.resize(size).save(path)


def timed(encoder, source, *, repeats=2, warming=None, **options):
    dataset = source if isinstance(source, Dataset) else open_dataset(source, max_pixels=LIMIT)
    return time_components(
        encoder,
        dataset,
        CONFIG,
        repeats=repeats,
        warming=warming or Thrice(),
        max_pixels=LIMIT,
        clock=encoder.clock,
        **options,
    )


def names(timing):
    return [one.subject.image.file_name for one in timing.images]


def damage(path):
    """Damage that only decoding finds."""
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    path.write_bytes(damaged)


def test_every_image_is_timed_as_often_as_asked(folder, encoder):
    """In the data set's order, with the times that the two clocks told."""
    encoder.transfer_ms = 5.0
    timing = timed(encoder, folder, repeats=3)
    assert names(timing) == list(SIZES)
    assert [one.subject.position for one in timing.images] == [0, 1, 2, 3, 4]
    assert timing.skipped == ()
    for one in timing.images:
        crops = one.subject.plan.total_crops
        assert one.samples_ms("decode") == [1000.0] * 3
        assert one.samples_ms("preprocess") == [11000.0] * 3
        assert one.samples_ms("transfer") == [5.0] * 3
        assert one.samples_ms("vit") == [1000.0 * crops] * 3
        assert one.samples_ms("connector") == [100.0 * crops] * 3
        assert one.samples_ms("vision") == [1100.0 * crops] * 3
        assert one.samples_ms("cpu") == [2000.0 * crops] * 3
    crops_in_all = sum(make_plan(Size(*size), CONFIG).total_crops for size in SIZES.values())
    assert timing.total_ms("vision") == 3 * 1100.0 * crops_in_all


def test_where_there_is_no_bus_no_transfer_is_made_up(folder, encoder):
    assert all(one.samples_ms("transfer") == [] for one in timed(encoder, folder).images)


def test_everything_is_warm_before_anything_is_timed(folder, encoder):
    """Each number of crops by the rule, each tiling once, and every image prepared."""
    rule = Thrice()
    phases = []
    timing = timed(
        encoder,
        folder,
        warming=rule,
        progress=lambda told: phases.append((told.phase, len(encoder.did))),
    )
    began = max(done for phase, done in phases if phase == "warm-up")
    warm_up = encoder.did[:began]
    grids = [str(plan.grid) for what, plan in warm_up if what == "run"]
    assert sorted(grids) == ["1x1"] * 3 + ["1x2"] * 3 + ["2x1"] + ["2x2"] * 3
    assert {plan.image for what, plan in warm_up if what == "prepare"} == {
        Size(*size) for size in SIZES.values()
    }
    assert list(timing.warmups) == [2, 3, 5]
    assert all(warmup.calls == 3 for warmup in timing.warmups.values())
    assert rule.took == [12000.0 + 1100.0 * crops for crops in (2, 3, 5) for _ in range(3)]


def test_rounds_visit_every_image_once_in_an_order_of_their_own(folder, encoder):
    """So that a machine's drift is no image's."""
    visits = []
    timed(
        encoder,
        folder,
        repeats=8,
        progress=lambda t: visits.append(t.subject.position) if t.phase == "rounds" else None,
    )
    rounds = [tuple(visits[at : at + 5]) for at in range(0, len(visits), 5)]
    assert len(rounds) == 8
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)
    assert len(set(rounds)) > 4


def test_no_more_than_one_picture_is_in_memory(folder, encoder, monkeypatch):
    """And none while the network runs."""
    decoded = []
    real = component_timing.decode

    def alive():
        return sum(picture() is not None for picture in decoded)

    def decode(data, *, max_pixels):
        assert alive() == 0
        picture = real(data, max_pixels=max_pixels)
        decoded.append(weakref.ref(picture.pixels))
        return picture

    def before(what, plan):
        assert alive() == (1 if what == "prepare" else 0)

    monkeypatch.setattr(component_timing, "decode", decode)
    encoder.before = before
    gc.disable()  # by counting references alone, not whenever a collector comes round
    try:
        assert len(timed(encoder, folder).images) == 5
    finally:
        gc.enable()


def test_damage_is_found_before_any_pass_is_spent_on_it(folder, encoder):
    """The next image of its tiling warms that up, and the rest goes on."""
    damage(folder / "b.png")
    timing = timed(encoder, folder)
    assert names(timing) == ["a.png", "c.jpg", "d.png", "e.webp"]
    (skipped,) = timing.skipped
    assert skipped.name == "b.png"
    assert "cannot be decoded" in skipped.reason
    assert Size(*SIZES["b.png"]) not in {plan.image for plan in encoder.plans("run")}
    assert timing.warmups[2].calls == 3


def test_a_damaged_image_leaves_its_tiling_to_the_next(folder, encoder):
    """Also where its number of crops is warm already, by another tiling."""
    photo(SIZES["c.jpg"], folder / "b2.png")
    damage(folder / "b2.png")
    ran = []

    def note(progress):
        if progress.phase == "warm-up":
            ran[:] = [str(plan.grid) for plan in encoder.plans("run")]

    timing = timed(encoder, folder, progress=note)
    assert [one.name for one in timing.skipped] == ["b2.png"]
    assert ran.count("2x1") == 1


def test_an_image_that_fails_in_a_round_is_left_out_whole(folder, encoder):
    """Its passes before that, too: a file has each image in full or not at all."""
    gone = []

    def delete_once(progress):
        if progress.phase == "rounds" and progress.subject.position == 0 and not gone:
            (folder / "a.png").unlink()
            gone.append(len(encoder.plans("run")))

    timing = timed(encoder, folder, repeats=3, progress=delete_once)
    assert names(timing) == ["b.png", "c.jpg", "d.png", "e.webp"]
    assert timing.skipped == (Skipped("a.png", "it cannot be read: No such file or directory"),)
    assert all(len(one.passes) == 3 for one in timing.images)


def test_an_image_that_became_another_is_left_out(folder, encoder):
    """What would be measured is no longer what was planned."""
    dataset = open_dataset(folder, max_pixels=LIMIT)
    photo((10, 20), folder / "a.png")
    timing = timed(encoder, dataset)
    assert timing.skipped == (Skipped("a.png", "it had 504x336 px at first, now 10x20"),)


def test_what_does_not_fit_the_device_is_left_out(folder, encoder):
    """Before it is decoded; all that is smaller is timed."""

    def before(what, plan):
        assert what == "check_memory" or plan.total_crops < 5
        if plan.total_crops == 5:
            raise OutOfDeviceMemory("a pass over 5 crops would not fit")

    encoder.before = before
    timing = timed(encoder, folder)
    assert timing.skipped == (Skipped("e.webp", "a pass over 5 crops would not fit"),)
    assert len(timing.images) == 4


def test_what_has_no_file_or_no_plan_is_left_out(folder, encoder):
    """And named, after what the data set itself left out."""
    there = open_dataset(folder, max_pixels=LIMIT).images[:1]
    images = (
        DatasetImage(7, "size_only.jpg", Size(640, 480), None),
        DatasetImage(8, "line.png", Size(100_000, 1), folder / "line.png"),
        *there,
    )
    dataset = Dataset("set", None, "annotations", images, (Skipped("cut.jpg", "cut off"),))
    timing = timed(encoder, dataset)
    assert names(timing) == ["a.png"]
    assert [one.name for one in timing.skipped] == ["cut.jpg", "size_only.jpg", "line.png"]
    assert timing.skipped[1].reason == "only its size is known, there is no file"


def test_where_nothing_can_be_profiled_the_first_reason_is_given(tmp_path, encoder):
    photo((300, 300), tmp_path / "a.png")
    damage(tmp_path / "a.png")
    with pytest.raises(InvalidDataset, match=r"can be timed; the first is a\.png: .*decoded"):
        timed(encoder, tmp_path)


def test_an_encoder_for_another_model_is_no_fault_of_an_image(folder, encoder):
    """So nothing is skipped, and nothing run."""

    def before(what, plan):
        raise EncoderMismatch("it is for another model")

    encoder.before = before
    with pytest.raises(EncoderMismatch):
        timed(encoder, folder)


@pytest.mark.parametrize("options", [{"repeats": 0}, {"num_images": 0}])
def test_none_at_all_is_refused(folder, encoder, options):
    with pytest.raises(ValueError, match="start at 1"):
        timed(encoder, folder, **options)


@pytest.mark.parametrize("damaged", [(), ("b.png",), ("b.png", "d.png"), ("a.png",)])
def test_progress_rises_to_just_one(folder, encoder, damaged):
    """Whatever is left out on the way."""
    for name in damaged:
        damage(folder / name)
    told = []
    timing = timed(encoder, folder, repeats=3, progress=told.append)
    assert [one.name for one in timing.skipped] == list(damaged)
    assert all(0 < a.done < b.done for a, b in pairwise(told))
    assert told[-1].done == 1.0
    phases = [one.phase for one in told]
    assert phases == ["warm-up"] * 5 + ["rounds"] * 15


def test_only_so_many_images_are_profiled(folder, encoder):
    """Over the numbers of crops that there are, the most among them; the others are not skipped."""
    timing = timed(encoder, folder, num_images=2)
    assert [one.subject.plan.total_crops for one in timing.images] == [2, 5]
    assert timing.skipped == ()
    assert len({plan.image for plan in encoder.plans("prepare")}) == 2


@given(st.lists(st.integers(100, 1500), min_size=1, max_size=20), st.integers(1, 25))
def test_chosen_images_are_in_order_and_reach_the_most_crops(sides, number):
    """As many as asked where there are as many; the same ones every time."""
    subjects = [
        Subject(at, DatasetImage(at, f"{at}.png", size, None), make_plan(size, CONFIG))
        for at, size in enumerate(Size(side, side) for side in sides)
    ]
    chosen = choose_subjects(subjects, number)
    assert len(chosen) == min(number, len(subjects))
    places = [one.position for one in chosen]
    assert places == sorted(set(places))
    most = max(one.plan.total_crops for one in subjects)
    assert most in {one.plan.total_crops for one in chosen}
    assert chosen == choose_subjects(subjects, number)
