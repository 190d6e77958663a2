from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from app.report.crop_overlap import JSON_FILE, REPORT_FILE, CropOverlapAnalysis
from app.report.errors import InvalidDataset, InvalidTiming

MODEL = "molmo-7b-d-0924"
PHOTO = Path(__file__).parents[2] / "docs" / "samples" / "rocket.jpg"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photo of 2x3 crops, one of 1x1 in a folder below, a damaged one, and a text."""
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(PHOTO, folder / "rocket.jpg")
    (folder / "below").mkdir()
    small = folder / "below" / "small.png"
    with Image.open(PHOTO) as photo:
        photo.resize((300, 200)).save(small)
    # Its header and its end are whole, so only decoding finds the damage.
    damaged = bytearray(small.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (folder / "a_damaged.png").write_bytes(damaged)
    (folder / "text.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def ran(photos, tmp_path_factory):
    """The experiment on that folder, where its files are, and how far it said it was."""
    out, told = tmp_path_factory.mktemp("out"), {}

    def tell(what, done, total):
        told.setdefault(what, []).append((done, total))

    return CropOverlapAnalysis(MODEL, out, progress=tell).run(photos), out, told


def hashes(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def result(folder):
    return json.loads((folder / JSON_FILE).read_text())


def test_every_image_that_can_be_taken_is_looked_at(ran):
    found, _, _ = ran
    assert [one.image.image_id for one in found.examined] == ["below_small", "rocket"]
    assert [str(one.plan.grid) for one in found.examined] == ["1x1", "2x3"]
    assert found.selection.closest_crops == 6


def test_what_cannot_be_taken_is_named_with_its_reason(ran):
    """A damaged one, too, which has a size, and is found when it is decoded."""
    found, out, _ = ran
    skipped = {one["name"]: one["reason"] for one in result(out)["skipped"]}
    assert set(skipped) == {"a_damaged.png", "text.png"}
    assert "decoded" in skipped["a_damaged.png"]
    assert "not a JPEG" in skipped["text.png"]
    assert len(found.skipped) == 2


def test_the_files_researchers_know_are_there_and_nothing_else(ran):
    """Pictures that open, of the names that the JSON file gives."""
    _, out, _ = ran
    expected = {JSON_FILE, REPORT_FILE}
    for image_id, crops in (("rocket", 6), ("below_small", 1)):
        name = f"exp6_crop_overlap_image_{image_id}"
        expected |= {f"{name}_{kind}.png" for kind in ("crops", "comparison", "statistics")}
        prefix = f"crops/image_{image_id}"
        expected |= {f"{prefix}_original.png", f"{prefix}_global.png"}
        expected |= {f"{prefix}_crop_{index:02d}.png" for index in range(crops)}
    assert set(hashes(out)) == expected
    for name in expected - {JSON_FILE, REPORT_FILE}:
        with Image.open(out / name) as picture:
            picture.load()
    named = [
        name
        for one in result(out)["results"]
        for value in one["files"].values()
        for name in (value if isinstance(value, list) else [value])
    ]
    assert set(named) == expected - {JSON_FILE, REPORT_FILE}


def test_an_original_is_written_as_it_is(ran):
    _, out, _ = ran
    with (
        Image.open(out / "crops" / "image_rocket_original.png") as made,
        Image.open(PHOTO) as photo,
    ):
        assert made.tobytes() == photo.convert("RGB").tobytes()


def test_results_have_the_names_of_the_answers(ran):
    """Boundaries in both spaces, overlap, tokens, and the methods compared."""
    rocket = result(ran[1])["results"][1]
    assert rocket["tiling"] == {"rows": 2, "cols": 3, "crops": 6, "total_crops": 7}
    assert rocket["num_crops"] == 7
    assert rocket["num_vision_tokens"] == rocket["tokens"]["patch"] == 704
    assert rocket["crops"][0]["canvas_box"] == [0, 0, 336, 336]
    assert rocket["crops"][0]["image_box"][:2] == [0, 0]
    assert rocket["overlap"]["overlap_ratio"] == pytest.approx(0.4286, abs=1e-4)
    assert {row["method"] for row in rocket["methods"]} == {
        "max_crops",
        "resize",
        "overlap_margins",
        "crop_size_px",
    }


def test_counts_say_whether_the_global_crop_is_in_them(ran):
    counts = result(ran[1])["set"]["crop_counts"]
    assert counts == {
        "with_global_crop": {"2": 2, "7": 1},
        "grid_crops": {"1": 2, "6": 1},
    }


def test_the_same_input_writes_the_same_bytes(ran, photos, tmp_path):
    """In another folder, and drawn by two processes."""
    CropOverlapAnalysis(MODEL, tmp_path, workers=2).run(photos)
    assert hashes(tmp_path) == hashes(ran[1])


def test_everything_that_takes_long_tells_how_far_it_is(ran):
    """Step by step, never back, up to the end."""
    _, _, told = ran
    assert list(told) == [
        "reading sizes",
        "checking images",
        "comparing settings",
        "drawing pictures",
        "putting pictures into the report",
    ]
    for steps in told.values():
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert steps[-1][0] == steps[-1][1]


def test_nothing_of_this_machine_is_in_the_result(ran, photos):
    """No path, so that it can be published and compared."""
    _, out, _ = ran
    for name in (JSON_FILE, REPORT_FILE):
        text = (out / name).read_text()
        assert str(photos.parent) not in text
        assert str(out.parent) not in text


@pytest.fixture
def annotations(tmp_path):
    """Four sizes and no files."""
    images = [
        {"id": i, "width": w, "height": h, "file_name": f"{i:012d}.jpg"}
        for i, (w, h) in enumerate([(640, 480), (480, 640), (300, 300), (1, 5000)], 1)
    ]
    file = tmp_path / "annotations" / "instances_val.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"images": images}))
    return file


def test_sizes_are_enough_for_everything_but_pictures_of_them(annotations, tmp_path):
    """Boundaries and statistics are drawn on a plain ground; there is nothing to compare."""
    found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations)
    assert found.statistics.images == 3
    assert [one.name for one in found.skipped] == ["000000000004.jpg"]
    assert set(hashes(tmp_path / "out")) == {JSON_FILE, REPORT_FILE} | {
        f"exp6_crop_overlap_image_{i}_{kind}.png"
        for i in (1, 2, 3)
        for kind in ("crops", "statistics")
    }


def timing(path, rows, **top):
    path.write_text(json.dumps({"results": rows} | top))
    return path


def test_images_are_selected_of_a_timing(annotations, tmp_path):
    """Its rows are found by id, each image once; what the images have not is skipped."""
    rows = [
        {"image_id": 2, "example_id": "q1", "num_crops": 7, "num_vision_tokens": 736},
        {"image_id": 2, "example_id": "q2", "num_crops": 7},
        {"image_id": 99, "num_crops": 3},
    ]
    file = timing(tmp_path / "exp2.json", rows)
    found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations, exp2_results_path=file)
    assert [one.image.image_id for one in found.examined] == [2]
    assert result(tmp_path / "out")["results"][0]["example_id"] == "q1"
    assert "99" in [one.name for one in found.skipped]
    assert found.statistics.images == 3
    assert found.selection.source == "exp2.json"


@pytest.mark.parametrize(
    ("num_crops", "counts_global", "agreeing"), [(7, True, 1), (6, False, 1), (11, True, 0)]
)
def test_what_a_timing_counts_is_found_by_comparing(
    num_crops, counts_global, agreeing, annotations, tmp_path
):
    """Molmo's code counts the global crop; others do not, and some had another configuration."""
    file = timing(tmp_path / "exp2.json", [{"image_id": 1, "num_crops": num_crops}])
    found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations, exp2_results_path=file)
    agreement = found.selection.agreement
    assert (agreement.counts_global_crop, agreement.agreeing) == (counts_global, agreeing)


def test_it_is_said_what_a_timing_was_measured_on(annotations, tmp_path):
    """And whether it doubts its times: as far as its file says; others' may say nothing."""
    rows = [{"image_id": 1, "num_crops": 7}]
    said = {"device": "A GPU", "dtype": "bfloat16", "runtime": 7, "weights": "random"}
    said["contended"] = "the load was 4 <before> it began"
    for top, expected in ((said, "A GPU, bfloat16, random weights"), ({}, None)):
        file = timing(tmp_path / "exp2.json", rows, **top)
        found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(
            annotations, exp2_results_path=file
        )
        assert found.selection.measured_on == expected
        assert result(tmp_path / "out")["selection"]["measured_on"] == expected
        assert found.selection.contended == top.get("contended")


def test_a_timing_of_other_images_is_an_error(annotations, tmp_path):
    file = timing(tmp_path / "exp2.json", [{"image_id": "elsewhere", "num_crops": 2}])
    with pytest.raises(InvalidDataset, match="none of the 1 images"):
        CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations, exp2_results_path=file)
    with pytest.raises(InvalidTiming):
        CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations, exp2_results_path=annotations)


def test_an_interrupt_leaves_whole_pictures_and_no_report(photos, tmp_path):
    """Whoever finds the JSON file finds all that it names."""

    def interrupted(what, done, total):
        if what == "drawing pictures":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CropOverlapAnalysis(MODEL, tmp_path, progress=interrupted).run(photos)
    left = hashes(tmp_path)
    assert left
    assert JSON_FILE not in left
    assert REPORT_FILE not in left
    for name in left:
        with Image.open(tmp_path / name) as picture:
            picture.load()


def test_what_others_write_into_files_is_written_again_as_text(annotations, tmp_path):
    """NaN, lone surrogates in names, and ids too long for a file's name."""
    images = [
        {"id": 1, "width": 640, "height": 480, "file_name": "a\ud800.jpg"},
        {"id": 10**400, "width": 300, "height": 200, "file_name": "b.jpg"},
    ]
    annotations.write_text(json.dumps({"images": images}))
    file = timing(tmp_path / "exp2.json", [{"image_id": 1, "num_crops": 7, "x": float("nan")}])
    found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations, exp2_results_path=file)
    assert [one.image.file_name for one in found.examined] == ["a\ufffd.jpg"]
    assert found.skipped[0].reason == "images[1]: id has more than 64 bits"
    assert result(tmp_path / "out")["results"][0]["profiled"]["x"] is None


def test_a_folder_whose_name_is_no_text_is_named_all_the_same(photos, tmp_path):
    """Where file systems allow it: names are bytes there."""
    folder = tmp_path / os.fsdecode(b"photos\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system does not")
    shutil.copy(PHOTO, folder)
    found = CropOverlapAnalysis(MODEL, tmp_path / "out").run(folder, save_crop_images=False)
    assert found.dataset.name == "photos\ufffd"


def test_a_set_of_nothing_usable_is_an_error(photos, annotations, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    shutil.copy(photos / "a_damaged.png", damaged)
    with pytest.raises(InvalidDataset, match="decoded"):
        CropOverlapAnalysis(MODEL, tmp_path / "out").run(damaged)
    thin = {"images": [{"id": 1, "width": 1, "height": 5000, "file_name": "a.jpg"}]}
    annotations.write_text(json.dumps(thin))
    with pytest.raises(InvalidDataset, match="planned"):
        CropOverlapAnalysis(MODEL, tmp_path / "out").run(annotations)
    with pytest.raises(ValueError, match="num_images"):
        CropOverlapAnalysis(MODEL, tmp_path / "out").run(photos, num_images=0)
