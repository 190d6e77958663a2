"""The file of a timing is read as researchers have it, and strictly where it matters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.plan.geometry import Size
from app.report.errors import InvalidTiming
from app.report.timing.timing_file import read_timing

GOOD = {"image_id": 139, "num_crops": 7}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def written(folder, content):
    path = folder / "exp2.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_researchers_file_is_read(tmp_path):
    """Known fields as such, all others kept as they came."""
    row = GOOD | {"example_id": "q1", "num_vision_tokens": 720, "T_vision": 0.3, "more": [1, None]}
    timing = read_timing(written(tmp_path, {"results": [row, GOOD], "summary": {}}))
    first, second = timing.results
    assert (first.image_id, first.example_id, first.num_crops) == (139, "q1", 7)
    assert first.num_vision_tokens == 720
    assert first.row == row
    assert (second.example_id, second.num_vision_tokens, second.file_name, second.size) == (
        None,
    ) * 4
    assert timing.counts_global_crop is None


def test_our_own_fields_are_read(tmp_path):
    """Name, size, and whether the global crop is counted."""
    row = GOOD | {"file_name": "a.jpg", "width": 640, "height": 427}
    timing = read_timing(written(tmp_path, {"results": [row], "counts_global_crop": True}))
    assert (timing.results[0].file_name, timing.results[0].size) == ("a.jpg", Size(640, 427))
    assert timing.counts_global_crop is True


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("num_crops", value) for value in (0, -1, 2.5, "7", True, None)),
        *(("image_id", value) for value in (None, 1.5, True, [1])),
        *(("num_vision_tokens", value) for value in (-1, "720")),
        *(("width", value) for value in (0, "640", None)),
        ("example_id", [1]),
        ("file_name", 7),
    ],
)
def test_a_wrong_row_is_named_with_its_field(tmp_path, field, value):
    """The second of two, so that the place is no accident."""
    bad = GOOD | {"width": 640, "height": 427} | {field: value}
    with pytest.raises(InvalidTiming) as caught:
        read_timing(written(tmp_path, {"results": [GOOD, bad]}))
    assert caught.value.facts == {"file": "exp2.json", "field": f"results[1].{field}"}
    assert f"results[1].{field}" in caught.value.detail


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field_is_named(tmp_path, field):
    """Both that are demanded."""
    bad = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(InvalidTiming, match=rf"results\[0\]\.{field}: missing"):
        read_timing(written(tmp_path, {"results": [bad]}))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1",
        "[]",
        "{}",
        '{"results": {}}',
        '{"results": [], "counts_global_crop": 1}',
        "[" * 9999,
    ],
)
def test_what_is_no_timing_is_refused(tmp_path, content):
    """Whatever else the file may be; so is one that is not there."""
    with pytest.raises(InvalidTiming, match=r"exp2\.json"):
        read_timing(written(tmp_path, content))
    with pytest.raises(InvalidTiming, match="No such file"):
        read_timing(tmp_path / "none.json")


@given(
    st.dictionaries(st.sampled_from([*GOOD, "example_id", "width", "height"]), json_values),
    st.sampled_from(["results", "counts_global_crop"]),
    json_values,
)
def test_any_json_is_read_or_refused(tmp_path_factory, row, name, value):
    """With our own error, whatever is where."""
    path = written(tmp_path_factory.getbasetemp(), {"results": [GOOD | row], name: value})
    try:
        timing = read_timing(path)
    except InvalidTiming:
        return
    assert all(one.num_crops > 0 for one in timing.results)
