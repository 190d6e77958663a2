"""Write frozen dataclasses as JSON for people, and read JSON strictly."""

import json
import re
from dataclasses import is_dataclass
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from app.core.errors import InvalidProfile

_hints = cache(get_type_hints)


def json_text(value: object) -> str:
    """Write a value as indented ASCII JSON, with every list of numbers on one line.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, indent=2, allow_nan=False)
    # A JSON string holds no line break, so the pattern never matches inside of one.
    return re.sub(r"\[\n([-+.\deE,\s]*)\]", _on_one_line, text) + "\n"


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def require(condition: bool, field: str, reason: str) -> None:
    """Raise InvalidProfile for this field unless the condition holds."""
    if not condition:
        raise InvalidProfile(f"{field}: {reason}" if field else reason, field=field)


def read_json(kind: Any, value: Any, field: str = "") -> Any:
    """Read a parsed JSON value as the type ``kind``.

    A dataclass needs all of its fields and no others. Numbers are finite and at least 0.

    Raises:
        InvalidProfile: a field is missing, unknown or of another type; the error names the field.
    """
    if is_dataclass(kind):
        return _read_fields(kind, value, field)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        require(value in args, field, f"{value!r} is none of {', '.join(map(repr, args))}")
        return value
    if origin is UnionType:  # every union here is "or None"
        return None if value is None else read_json(args[0], value, field)
    if origin is dict:
        require(isinstance(value, dict), field, "not an object")
        return {name: read_json(args[1], item, f"{field}.{name}") for name, item in value.items()}
    if origin is tuple:
        return _read_list(args, value, field)
    if kind is float and type(value) is int and abs(value) < 2**53:
        value = float(value)
    require(type(value) is kind, field, f"{value!r} is no {kind.__name__}")
    if kind in (int, float):
        require(value >= 0 and isfinite(value), field, f"{value!r} is not finite and at least 0")
    return value


def _read_list(kinds: tuple[Any, ...], value: Any, field: str) -> tuple[Any, ...]:
    require(isinstance(value, list), field, "not a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    require(len(kinds) == len(value), field, f"wants {len(kinds)} values, has {len(value)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(read_json(kind, item, f"{field}[{index}]") for index, (kind, item) in pairs)


def _read_fields(kind: Any, value: Any, field: str) -> Any:
    require(isinstance(value, dict), field, "not an object")
    prefix = f"{field}." if field else ""
    hints = _hints(kind)
    for name in sorted(hints.keys() | value.keys()):
        require(name in value, prefix + name, "missing")
        require(name in hints, prefix + name, "unknown field")
    read = {name: read_json(hint, value[name], prefix + name) for name, hint in hints.items()}
    return kind(**read)
