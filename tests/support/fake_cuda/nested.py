"""Walk the arguments and results of an operation: values in tuples, lists, dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def leaves(value: Any) -> list[Any]:
    """List all values, in order."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return [value]
    return [leaf for one in value for leaf in leaves(one)]


def mapped(work: Callable[[Any], Any], value: Any) -> Any:
    """Return the same structure with ``work`` applied to each value."""
    if isinstance(value, dict):
        return {key: mapped(work, one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(work, one) for one in value)
    return work(value)
