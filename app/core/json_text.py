"""JSON for files that people read, too."""

from __future__ import annotations

import json
import re


def json_text(value: object) -> str:
    """``value`` as ASCII JSON, indented, with lists of numbers in one line each.

    Raises:
        ValueError: a number that is not finite.
    """
    text = json.dumps(value, indent=2, allow_nan=False)
    # A string of JSON holds no line break, so this never meets one.
    return re.sub(r"\[\n([-+.\deE,\s]*)\]", _in_one_line, text) + "\n"


def _in_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"
