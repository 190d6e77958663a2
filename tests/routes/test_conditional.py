"""A client that has a table already receives 304, and no body."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ('W/"other",W/{tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
    ],
)
async def test_if_none_match_is_compared_weakly(serve, named, status):
    async with serve(encoder=False) as client:
        first = await client.get("/lut?max_crops=2")
        header = {"if-none-match": named.format(tag=first.headers["etag"])}
        again = await client.get("/lut?max_crops=2", headers=header)
    assert again.status_code == status
    assert again.content == (first.content if status == 200 else b"")
    for name in ("etag", "vary", "cache-control"):
        assert again.headers[name] == first.headers[name], name


async def test_json_and_csv_have_tags_of_their_own(serve):
    async with serve(encoder=False) as client:
        tags = {
            (await client.get(f"/lut?max_crops=2&format={form}")).headers["etag"]
            for form in ("json", "csv")
        }
    assert len(tags) == 2
