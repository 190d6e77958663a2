"""Define the errors of data sets and of their files.

    CropPlannerError
    └── DatasetError         a set of images cannot be used
        ├── InvalidDataset   the named place holds no set of images
        └── InvalidTiming    the timing file is unreadable or wrong

The service raises none of them: they belong to the command line and to Python.
"""

from __future__ import annotations

from app.core.errors import CropPlannerError


class DatasetError(CropPlannerError):
    """Group the errors of a set of images."""


class InvalidDataset(DatasetError):
    slug, title = "invalid-dataset", "No data set of images"


class InvalidTiming(DatasetError):
    slug, title = "invalid-profiling", "The timing file cannot be used"
