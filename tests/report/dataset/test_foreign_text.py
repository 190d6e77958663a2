from __future__ import annotations

import json

import pytest

from app.report.dataset.foreign_text import read_json


def test_what_is_read_can_be_written_as_strict_json(tmp_path):
    """NaN, infinities, numbers too large and lone surrogates are in files that others write."""
    file = tmp_path / "file.json"
    file.write_text(
        r'{"a": [NaN, -Infinity, 1e999, 1.5], "\ud800": {"b": "x\uDFFFy", "c": "\ud83d\ude00"}}'
    )
    content = read_json(file)
    assert content == {"a": [None, None, None, 1.5], "\ufffd": {"b": "x\ufffdy", "c": "😀"}}
    assert json.dumps(content, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b""])
def test_what_is_no_json_is_one_kind_of_error(content, tmp_path):
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as caught:
        read_json(file)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ValueError, match="directory"):
        read_json(tmp_path)
