"""The error tree, walked."""

from collections.abc import Iterator

from app.core.errors import CropPlannerError


def all_errors(base: type[CropPlannerError] = CropPlannerError) -> Iterator[type[CropPlannerError]]:
    for error in base.__subclasses__():
        yield error
        yield from all_errors(error)
