"""The tree of errors, walked."""

from collections.abc import Iterator

from app.core import errors
from app.core.errors import CropPlannerError


def all_errors(base: type[CropPlannerError] = CropPlannerError) -> Iterator[type[CropPlannerError]]:
    """Errors of the service; those that only the command line raises are beside their code."""
    for error in base.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from all_errors(error)
