"""Define the errors of data sets and of their files, and the skipping of one image.

    CropPlannerError
    └── DatasetError         a set of images cannot be used
        ├── InvalidDataset   the named place holds no set of images
        └── InvalidTiming    the timing file is unreadable or wrong

The service raises none of them: they belong to the command line and to Python.
"""

from dataclasses import dataclass

from app.core.errors import CropPlannerError


class DatasetError(CropPlannerError):
    """Group the errors of a set of images."""


class InvalidDataset(DatasetError):
    slug, title = "invalid-dataset", "No data set of images"


class InvalidTiming(DatasetError):
    slug, title = "invalid-profiling", "The timing file cannot be used"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Name an image left out of the data set, with the reason in one sentence."""

    name: str
    reason: str


def why(error: CropPlannerError | OSError | MemoryError) -> str:
    """Say in words why an error leaves an image out."""
    if isinstance(error, CropPlannerError):
        return error.detail
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}"
    return "the memory is too small for it"
