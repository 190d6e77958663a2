"""A finding: what the figures of a set say, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Number = int | float | str
Section = Literal["counts", "tilings", "overlap", "published", "methods", "cliffs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Sentences, and the numbers in them by name. ``about`` names the section it opens."""

    about: Section
    text: str
    values: Mapping[str, Number]
