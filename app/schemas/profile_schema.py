"""Make the JSON Schema of profile files from the types that read them.

``python -m app.schemas.profile_schema > docs/reference/profile.schema.json`` writes it anew.
"""

import json
from typing import Any

from pydantic import TypeAdapter

from app.core.latency.profile import SCHEMA_VERSION, Profile

_UNSAID = ("title", "default", "description")
"""Titles repeat names, defaults are for writers, descriptions for readers of the code."""


def profile_schema() -> dict[str, Any]:
    """Make the JSON Schema, draft 2020-12. It cannot tie percentiles to their samples."""
    schema = _strict(TypeAdapter(Profile).json_schema())
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Crop planner profile, version {SCHEMA_VERSION}",
        "$comment": "docs/reference/profile.md says what each field means",
        **schema,
    }


def _strict(node: Any) -> Any:
    """Forbid missing and unknown fields and negative numbers, as reading does."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):  # their keys are names of ours, not words of the schema
            strict[key] = {name: _strict(item) for name, item in value.items()}
        elif key not in _UNSAID:
            strict[key] = _strict(value)
    if "properties" in strict:
        strict |= {"required": list(strict["properties"]), "additionalProperties": False}
    if strict.get("type") in ("number", "integer"):
        strict["minimum"] = 0
    return strict


def profile_schema_json() -> str:
    """Return the schema as a file."""
    return json.dumps(profile_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(profile_schema_json(), end="")
