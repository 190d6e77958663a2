"""The tree of errors, walked."""

from collections.abc import Iterator

from app.core import errors
from app.core.errors import CropPlannerError


def tree(base: type[CropPlannerError] = CropPlannerError) -> Iterator[type[CropPlannerError]]:
    """The core's classes below the base, parents before their children.

    The command line has errors of its own, in `app.report.errors`.
    """
    for error in base.__subclasses__():
        if error.__module__ == errors.__name__:
            yield error
            yield from tree(error)


def all_errors() -> list[type[CropPlannerError]]:
    """The classes that are raised: those with a slug of their own."""
    return [error for error in tree() if "slug" in vars(error)]
