"""The profile's file format is documented: its schema is current, and every field is explained."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from support.profiles import full_profile, profile

from app.core.latency.profile import SCHEMA_VERSION, Profile
from app.core.latency.profile_file import profile_to_json
from app.schemas.profile_schema import profile_schema, profile_schema_json

DOCS = Path(__file__).parents[2] / "docs" / "reference"
SCHEMA = profile_schema()
TYPES = {"Profile": SCHEMA, **SCHEMA["$defs"]}


def test_the_schema_in_the_docs_is_current():
    """``python -m app.schemas.profile_schema > docs/reference/profile.schema.json`` makes it so."""
    assert (DOCS / "profile.schema.json").read_text() == profile_schema_json()


@pytest.mark.parametrize("written", [full_profile(), profile()])
def test_a_profile_that_is_written_fits_the_types_of_the_schema(written):
    """Whoever reads the file by the schema alone gets the same profile."""
    text = profile_to_json(written)
    assert TypeAdapter(Profile).validate_json(text, strict=True) == written
    assert list(json.loads(text)) == SCHEMA["required"]


def test_no_object_of_the_schema_is_open():
    """Reading refuses unknown and missing fields, too."""
    for name, kind in TYPES.items():
        assert kind["additionalProperties"] is False, name
        assert kind["required"] == list(kind["properties"]), name


@pytest.mark.parametrize("name", TYPES)
def test_every_field_is_explained(name):
    """The section of its type names it in the first column."""
    page = (DOCS / "profile.md").read_text()
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = [field.strip(" `") for row in rows for field in row.split(",")]
    assert sorted(told) == sorted(TYPES[name]["properties"])


def test_the_version_is_the_documented_one():
    """The page names the version that the code writes."""
    assert f"**Version {SCHEMA_VERSION}.**" in (DOCS / "profile.md").read_text()
