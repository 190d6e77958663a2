"""A number that rises whenever a value is no longer what it was."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Revision(Generic[T]):
    """Counts the changes of a value that is looked at now and then; from any thread.

    What changes and changes back between two looks is not counted, so whoever keeps an answer by
    this number should make it from the very value that was looked at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: T | None = None
        self._number = 0

    def of(self, value: T) -> int:
        """The number of this value: that of the last look if it equals it, else one more."""
        with self._lock:
            if self._seen != value:
                self._seen = value
                self._number += 1
            return self._number
