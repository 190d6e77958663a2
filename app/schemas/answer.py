"""Make answers from values of the core, and write them as JSON.

Most answers are models of pydantic. The parts of a plan are dataclasses: pydantic describes and
writes both kinds, and a model would validate each of the hundred parts of a plan once more.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

Answer = TypeVar("Answer")


def rounded(value: float) -> float:
    """Round a time to the µs (or ns). Further digits are noise, and JSON would show seventeen."""
    return round(value, 3)


Rounded = Annotated[float, AfterValidator(rounded)]

THIS_DEVICE = (
    "Whether it is of the device, dtype and runtime of the encoder that is loaded here; null where "
    "none is."
)

PROBLEM_TYPES = "urn:crop-planner:problem:"


def problem_type(slug: str) -> str:
    """Return the stable identifier of a kind of error, see docs/reference/errors.md."""
    return PROBLEM_TYPES + slug


class Mirror(BaseModel):
    """Take the fields of a nested answer from the attributes of a value."""

    model_config = ConfigDict(from_attributes=True)


def mirrored(kind: type[Answer], value: object, **computed: Any) -> Answer:
    """Make an answer from ``computed`` fields; the others are attributes of ``value``."""
    names: Sequence[str] = _names(kind)  # type: ignore[arg-type]  # a class is hashable
    shown = {name: getattr(value, name) for name in names if name not in computed}
    return kind(**shown, **computed)


def to_json(answer: object, *, indent: int | None = None) -> bytes:
    """Write an answer as JSON."""
    adapter = _adapter(type(answer))  # type: ignore[arg-type]  # a class is hashable
    return adapter.dump_json(answer, indent=indent)


@cache
def _names(kind: Any) -> Sequence[str]:
    if issubclass(kind, BaseModel):
        return tuple(kind.model_fields)
    return tuple(field.name for field in fields(kind))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
