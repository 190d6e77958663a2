"""Whether images that are to be looked at can be decoded: a header shows no damage behind it."""

from __future__ import annotations

from collections.abc import Callable

from app.core.errors import CropPlannerError
from app.imaging.read.decode import decode
from app.report.dataset.candidates import Candidate
from app.report.dataset.images import Skipped, why


class Checking:
    """Decodes candidates, and keeps those that cannot be in ``damaged``.

    Args:
        max_pixels: larger images are not decoded.
        wanted: how many whole ones are looked for.
        progress: called with how many were checked, and of how many.
    """

    def __init__(self, max_pixels: int, wanted: int, progress: Callable[[int, int], None]) -> None:
        self.damaged: list[Skipped] = []
        self._max_pixels, self._wanted, self._progress = max_pixels, wanted, progress
        self._checked = 0

    def is_whole(self, candidate: Candidate) -> bool:
        """Whether an image can be decoded, or only its size is known."""
        self._checked += 1
        self._progress(self._checked, max(self._checked, self._wanted))
        path = candidate.image.path
        if path is None:
            return True
        try:
            decode(path.read_bytes(), max_pixels=self._max_pixels)
        except (CropPlannerError, OSError, MemoryError) as error:
            self.damaged.append(Skipped(candidate.image.file_name, why(error)))
            return False
        return True
