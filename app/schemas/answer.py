"""What answers share: a base that mirrors a value of the core, and rounded numbers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 3))]
"""To the µs (or ns): more digits than that are noise, and JSON would show seventeen."""

THIS_DEVICE = (
    "Whether it is of the device, dtype and runtime of the encoder that is loaded here; null where "
    "none is."
)

PROBLEM_TYPES = "urn:crop-planner:problem:"


def problem_type(slug: str) -> str:
    """The stable identifier of a kind of error, see docs/reference/errors.md."""
    return PROBLEM_TYPES + slug


class Mirror(BaseModel):
    """An answer with the names of the value it shows; what the value has besides is left out."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: object) -> Self:
        """The answer that shows ``value``."""
        return cls.model_validate(value)
