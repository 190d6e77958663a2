"""The error tree, walked."""

from collections.abc import Iterator

from app.core.errors import CropPlannerError


def tree(base: type[CropPlannerError] = CropPlannerError) -> Iterator[type[CropPlannerError]]:
    """Every class below the base, parents before their children."""
    for error in base.__subclasses__():
        yield error
        yield from tree(error)


def all_errors() -> list[type[CropPlannerError]]:
    """The classes that are raised: those with a slug of their own."""
    return [error for error in tree() if "slug" in vars(error)]
