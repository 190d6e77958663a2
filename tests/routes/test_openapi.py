"""The OpenAPI document: golden, and fit for client generators."""

import json
from pathlib import Path

import pytest

from app.core.plan.families import FAMILIES
from tests.support.openapi import document

GOLDEN = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


@pytest.fixture(scope="module")
def text() -> str:
    return document()


@pytest.fixture(scope="module")
def operations(text) -> dict[str, dict]:
    document = json.loads(text)
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def test_the_document_is_the_golden_one(text):
    """``make openapi`` renews it, on purpose."""
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_operations_are_named_as_in_generated_clients(operations):
    assert operations.keys() == {
        "plan", "plan_methods", "analyze", "overlay", "overlay_of_size", "resize", "adapt",
        "encode", "lut", "latency", "start_measurement", "measurement", "cancel_measurement",
        "models", "healthz", "readyz",
    }  # fmt: skip


def test_every_problem_refers_to_one_schema(text, operations):
    document = json.loads(text)
    problems = [
        response["content"]["application/problem+json"]["schema"]
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
    ]
    assert len(problems) > 50
    assert all(schema == {"$ref": "#/components/schemas/Problem"} for schema in problems)
    assert document["components"]["schemas"]["Problem"]["required"] == [
        "type", "title", "status", "detail",
    ]  # fmt: skip


def test_every_reference_leads_somewhere(text):
    document = json.loads(text)
    for part in text.split('"$ref": "#/')[1:]:
        target = document
        for key in part.partition('"')[0].split("/"):
            target = target[key]


def test_models_are_an_enum(operations):
    for name in ("plan", "analyze", "lut"):
        [model] = [one for one in operations[name]["parameters"] if one["name"] == "model"]
        assert model["schema"]["anyOf"][0]["enum"] == list(FAMILIES)


def test_an_upload_is_a_form_or_raw_bytes(operations):
    for name in ("analyze", "resize", "adapt", "encode", "overlay"):
        assert operations[name]["requestBody"]["content"].keys() == {
            "multipart/form-data", "image/*", "application/octet-stream",
        }  # fmt: skip
