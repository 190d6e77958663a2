"""``GET /lut`` as CSV: who gets it, and what a browser or a cache is told."""

import csv
import io

import pytest
from support.http import check_problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("query", "accept", "form"),
    [
        ("", None, "json"),
        ("", "*/*", "json"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("", "text/csv", "csv"),
        ("", "Text/CSV;q=0.9, */*;q=0.1", "csv"),
        ("", "text/csv, application/json", "json"),
        ("format=csv", "application/json", "csv"),
        ("format=json", "text/csv", "json"),
        ("format=csv", None, "csv"),
    ],
)
async def test_the_form_is_what_was_asked_for(serve, query, accept, form):
    """`format` decides, else an Accept that names CSV and not JSON; both answers vary by it."""
    async with serve() as client:
        headers = {"accept": accept} if accept else {}
        answer = await client.get(f"/lut?{query}", headers=headers)
    expected = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
    assert answer.headers["content-type"] == expected[form]
    assert answer.headers["vary"] == "Accept"
    assert ("content-disposition" in answer.headers) == (form == "csv")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "lut_molmo-7b-d-0924.csv"),
        ("model=molmo2-8b&width=640&height=480", "lut_molmo2-8b_640x480.csv"),
        ("aspect=1.5", "lut_molmo-7b-d-0924_aspect_3x2.csv"),
    ],
)
async def test_the_file_is_named_for_what_it_is_about(serve, query, name):
    async with serve() as client:
        answer = await client.get(f"/lut?format=csv&{query}")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


async def test_it_has_a_line_for_every_option_of_the_json(serve):
    async with serve() as client:
        lines = csv.DictReader(io.StringIO((await client.get("/lut?format=csv")).text, newline=""))
        rows = (await client.get("/lut")).json()["rows"]
    assert [(int(line["rows"]), int(line["cols"])) for line in lines] == [
        (option["rows"], option["cols"]) for row in rows for option in row["options"]
    ]


async def test_it_is_cacheable_apart_from_the_json(serve):
    """A tag of its own, as the bytes are others."""
    async with serve(encoder=False) as client:
        tag = (await client.get("/lut?format=csv")).headers["etag"]
        same = await client.get("/lut", headers={"accept": "text/csv", "if-none-match": tag})
        other = await client.get("/lut", headers={"if-none-match": tag})
    assert (same.status_code, same.content, same.headers["vary"]) == (304, b"", "Accept")
    assert other.status_code == 200


async def test_problems_stay_problems(serve):
    """Whatever form was asked for."""
    async with serve() as client:
        wrong = await client.get("/lut?width=640", headers={"accept": "text/csv"})
        check_problem(wrong, 422, "invalid-config")
        check_problem(await client.get("/lut?format=xml"), 422, "invalid-parameters")
