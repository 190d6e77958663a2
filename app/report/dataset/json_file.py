"""JSON of others: whatever is read can be written again, as strict JSON in UTF-8."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from app.report.dataset.identity import plain_text


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    NaN and infinities, which Python's and numpy's writers leave in files, become None, and lone
    surrogates U+FFFD.

    Raises:
        ValueError: it cannot be read, or is no JSON; it says why, and names no path.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return _plain(content) if "\\ud" in text.lower() else content
    except OSError as error:
        raise ValueError(error.strerror) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _plain(value: Any) -> Any:
    """Only where there may be a surrogate: escapes are the one way for it into JSON."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {plain_text(key): _plain(one) for key, one in value.items()}
    return value
