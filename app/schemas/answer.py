"""Define the base of answers that mirror a value of the core, rounded numbers, and problems."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

Answer = TypeVar("Answer", bound=BaseModel)

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 3))]
"""Times to the µs (or ns): further digits are noise, and JSON would show seventeen."""

THIS_DEVICE = (
    "Whether it is of the device, dtype and runtime of the encoder that is loaded here; null where "
    "none is."
)

PROBLEM_TYPES = "urn:crop-planner:problem:"


def problem_type(slug: str) -> str:
    """Return the stable identifier of a kind of error, see docs/reference/errors.md."""
    return PROBLEM_TYPES + slug


class Mirror(BaseModel):
    """Show some attributes of a value under their own names."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: object) -> Self:
        """Make the answer from ``value``."""
        return cls.model_validate(value)


def mirrored(kind: type[Answer], value: object, **computed: Any) -> Answer:
    """Make an answer from ``computed`` fields; the others are attributes of ``value``."""
    shown = {name: getattr(value, name) for name in kind.model_fields if name not in computed}
    return kind(**shown, **computed)
