"""What a data set consists of, and how its images are found by the names others give them."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.images import file_of, with_orientation

from app.core.plan.geometry import Size
from app.report.dataset.foreign_text import file_ids, safe
from app.report.dataset.images import open_dataset
from app.report.errors import InvalidDataset

LIMIT = 1_000_000


def image_at(path: Path, width: int = 6, height: int = 4, orientation: int = 1) -> Path:
    """A small image file of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix, "JPEG")
    image = Image.new("RGB", (width, height))
    path.write_bytes(with_orientation(image, form, orientation))
    return path


def annotated(path: Path, *entries: object) -> Path:
    """An annotation file; a pair stands for an id and a file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"id": e[0], "file_name": e[1], "width": 640, "height": 480} if isinstance(e, tuple) else e
        for e in entries
    ]
    path.write_text(json.dumps({"images": images, "annotations": []}))
    return path


def opened(source: Path, *arguments, **options):
    return open_dataset(source, *arguments, max_pixels=LIMIT, **options)


def names(dataset) -> list[str]:
    return [image.file_name for image in dataset.images]


def test_a_folder_is_searched_to_its_depths(tmp_path):
    """By path, hidden files and other files left out without a word; sizes are upright."""
    image_at(tmp_path / "photos" / "b.jpg", 8, 3, orientation=6)
    image_at(tmp_path / "photos" / "a" / "z.PNG".lower(), 7, 5)
    image_at(tmp_path / "photos" / ".hidden" / "c.jpg")
    image_at(tmp_path / "photos" / ".d.jpg")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    dataset = opened(tmp_path / "photos")
    assert (dataset.name, dataset.split, dataset.kind) == ("photos", None, "folder")
    assert names(dataset) == ["a/z.png", "b.jpg"]
    assert [image.image_id for image in dataset.images] == ["a_z", "b"]
    assert [image.size for image in dataset.images] == [Size(7, 5), Size(3, 8)]
    assert all(image.path.is_file() for image in dataset.images)
    assert dataset.skipped == ()


def test_what_cannot_be_read_is_skipped_with_its_reason(tmp_path):
    """Damaged, cut off, too large, no image at all, no file at all: the rest is there."""
    image_at(tmp_path / "good.jpg")
    whole = image_at(tmp_path / "cut.png", 60, 60).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "large.png").write_bytes(file_of(Image.new("1", (1001, 1000)), "PNG"))
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    dataset = opened(tmp_path)
    assert names(dataset) == ["good.jpg"]
    skipped = {one.name: one.reason for one in dataset.skipped}
    assert sorted(skipped) == [
        "broken.jpg", "cut.png", "empty.jpg", "large.png", "pipe.jpg", "text.jpg",
    ]  # fmt: skip
    assert all(skipped.values())
    assert str(LIMIT) in skipped["large.png"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    """A linked folder is part of the set; a link upwards ends there."""
    image_at(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "set")
    assert names(opened(tmp_path / "set")) == ["linked/a.jpg"]


def test_an_annotation_file_is_enough(tmp_path):
    """By id, whatever the order in the file; bad entries and repeated ids are skipped and said."""
    file = annotated(
        tmp_path / "instances_val.json",
        (40, "b.jpg"), (7, "a.jpg"), (7, "again.jpg"), "no object",
        {"id": 1, "file_name": "flat.jpg", "width": 0, "height": 4},
        {"id": True, "width": 3, "height": 4}, {"file_name": "c.jpg", "width": 3, "height": 4},
        {"id": 2, "file_name": "d.jpg", "width": "3", "height": 4},
    )  # fmt: skip
    dataset = opened(file)
    assert (dataset.name, dataset.kind) == ("instances_val.json", "annotations")
    assert [image.image_id for image in dataset.images] == [7, 40]
    assert [(i.size, i.path) for i in dataset.images] == [(Size(640, 480), None)] * 2
    assert len(dataset.skipped) == 6
    assert all(f"images[{index}]" in one.reason
               for index, one in zip((2, 3, 4, 5, 6, 7), dataset.skipped, strict=True))  # fmt: skip


@pytest.mark.parametrize("place", ["annotations", "annotations/val2017", "val2017", "images", "."])
def test_the_files_of_an_annotation_file_are_found_beside_it(tmp_path, place):
    """And their own upright size counts, where it contradicts; an image without a file stays."""
    file = annotated(
        tmp_path / "annotations" / "instances_val2017.json", (1, "a.jpg"), (2, "b.jpg")
    )
    path = image_at(tmp_path / place / "a.jpg", 8, 3, orientation=6)
    first, second = opened(file).images
    assert first.path.samefile(path)
    assert first.size == Size(3, 8)
    assert (second.path, second.size) == (None, Size(640, 480))


def test_a_file_that_cannot_be_read_is_skipped_though_annotated(tmp_path):
    """Its size may be as wrong as its bytes."""
    file = annotated(tmp_path / "set.json", (1, "a.jpg"), (2, "b.jpg"))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    dataset = opened(file)
    assert names(dataset) == ["a.jpg"]
    assert [one.name for one in dataset.skipped] == ["b.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "/secret.jpg", "x/../../secret.jpg", "a\0.jpg"])
def test_an_annotation_names_no_file_outside_of_its_folder(tmp_path, name):
    """The annotation file may be anyone's."""
    image_at(tmp_path / "secret.jpg")
    (tmp_path / "in" / "x").mkdir(parents=True)
    file = annotated(tmp_path / "in" / "set.json", (1, name))
    assert opened(file, images=tmp_path / "in").images[0].path is None


def test_a_split_is_the_subfolder_or_else_the_annotation_file(tmp_path):
    """Of several annotation files the one of instances; what there is, is said of any other."""
    image_at(tmp_path / "train" / "a.jpg")
    image_at(tmp_path / "images" / "test" / "b.jpg")
    annotated(tmp_path / "annotations" / "captions_val.json", (1, "captions.jpg"))
    annotated(tmp_path / "annotations" / "instances_val.json", (1, "instances.jpg"))
    (tmp_path / "val").mkdir()
    found = {split: opened(tmp_path, split) for split in ("train", "test", "val")}
    assert {split: names(dataset) for split, dataset in found.items()} == {
        "train": ["a.jpg"], "test": ["b.jpg"], "val": ["instances.jpg"],
    }  # fmt: skip
    assert {dataset.name for dataset in found.values()} == {tmp_path.name}
    assert [found[split].split for split in found] == list(found)
    with pytest.raises(InvalidDataset) as caught:
        opened(tmp_path, "other")
    assert caught.value.facts["known"] == ["test", "train", "val"]


def test_what_is_no_data_set_is_refused(tmp_path):
    """Nothing there, an empty folder, other JSON, no JSON, another split, only bad images."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "text.json").write_bytes(b"\xff no JSON")
    annotated(tmp_path / "none.json")
    good = annotated(tmp_path / "instances_val.json", (1, "a.jpg"))
    for source in ("nothing", "empty", "list.json", "text.json", "none.json"):
        with pytest.raises(InvalidDataset, match=source):
            opened(tmp_path / source)
    with pytest.raises(InvalidDataset, match="train"):
        opened(good, "train")
    with pytest.raises(InvalidDataset, match="no folder"):
        opened(good, images=tmp_path / "nowhere")
    (tmp_path / "empty" / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(InvalidDataset, match=r"1 skipped, the first is bad\.jpg"):
        opened(tmp_path / "empty")


def test_a_folder_of_splits_without_images_says_so(tmp_path):
    """As naming one of them is what would work."""
    annotated(tmp_path / "annotations" / "instances_val.json", (1, "a.jpg"))
    with pytest.raises(InvalidDataset, match="splits val"):
        opened(tmp_path)


def test_images_are_found_by_the_names_others_give_them(tmp_path):
    """The id, the file, its stem, the number it says; never a guess between two."""
    numbered = opened(image_at(tmp_path / "coco" / "000000000139.jpg").parent)
    for asked in ("000000000139", 139, "139", "000000000139.jpg", "val2017/000000000139.jpg"):
        assert numbered.find(asked) is numbered.images[0], asked
    assert numbered.find(13) is None
    image_at(tmp_path / "two" / "a" / "x.jpg")
    image_at(tmp_path / "two" / "b" / "x.jpg")
    two = opened(tmp_path / "two")
    assert two.find("x.jpg") is None
    assert two.find("x") is None
    assert two.find("b/x.jpg") is two.images[1]
    assert two.find("b/x") is two.images[1]
    by_id = opened(
        annotated(tmp_path / "s.json", (139, "COCO_val2014_000000000285.jpg"), (285, "z"))
    )
    assert by_id.find(285) is by_id.images[1]  # an id, before a file that says that number
    assert by_id.find("000000000285.jpg") is by_id.images[0]


def test_progress_ends_where_all_were_looked_at(tmp_path):
    """In a folder and in an annotation file, bad entries included."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image_at(tmp_path / "set" / name)
    (tmp_path / "set" / "b.jpg").write_bytes(b"bad")
    for source in (tmp_path / "set", annotated(tmp_path / "s.json", (1, "a"), "bad", (2, "b"))):
        calls: list[tuple[int, int]] = []
        opened(source, progress=lambda *call, calls=calls: calls.append(call))
        assert calls == [(1, 3), (2, 3), (3, 3)]


tricky_names = ["a.jpg", "A.jpg", "a.png", "a_2.jpg", "b/a.jpg", "b_a.jpg", "b_a", "x" * 300]
file_names = st.lists(st.text(min_size=1, max_size=8) | st.sampled_from(tricky_names), unique=True)


@given(file_names)
def test_ids_are_unique_and_can_be_part_of_a_file_name(names):
    """Also where case does not count, and however long the path is; always the same."""
    ids = file_ids(names)
    assert len({one.casefold() for one in ids}) == len(names)
    assert all(safe(one) == one or len(one.encode()) <= 160 for one in ids)
    assert not any(set(one) & set('/\\:*?"<>|\0 \n') for one in ids)
    assert ids == file_ids(names)


def test_a_name_that_no_file_can_have_is_no_files(tmp_path):
    """Its size is known all the same, and every other image has its file."""
    long = "x" * 5000 + ".jpg"
    image_at(tmp_path / "good.jpg", 30, 20)
    dataset = opened(annotated(tmp_path / "set.json", (1, long), (2, "good.jpg")))
    assert [(image.image_id, image.path) for image in dataset.images] == [
        (1, None),
        (2, tmp_path / "good.jpg"),
    ]
    assert dataset.images[0].size == Size(640, 480)


def test_no_name_is_no_images(tmp_path):
    """Not even that of the one whose name is all replaced characters."""
    image_at(tmp_path / "_.jpg")
    dataset = opened(tmp_path)
    assert dataset.find("_") is dataset.images[0]
    assert dataset.find("") is None
