"""What was made before and may be asked for again, within so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 1024
"""Counted for each entry besides what its maker counts: key, links and object headers."""


class Kept(Generic[K, V]):
    """The values that were used last, as many as fit ``limit_bytes``. For one thread.

    Strangers choose the keys, so what counts is bytes and not entries.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the entries take, as counted; never above the limit."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The value kept for this key, which is now the one used last."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def keep(self, key: K, value: V, size_bytes: int) -> None:
        """Keep a value in place of those unused the longest; not if it alone is too large."""
        if key in self._entries:
            self._bytes -= self._entries.pop(key)[1]
        counted = size_bytes + ENTRY_BYTES
        if counted > self._limit:
            return
        self._entries[key] = (value, counted)
        self._bytes += counted
        while self._bytes > self._limit:
            self._bytes -= self._entries.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Keep nothing of what there is."""
        self._entries.clear()
        self._bytes = 0


class KeptByRevision(Generic[K, V]):
    """The same for values that are true of one revision: the newest seen, which rises."""

    def __init__(self, limit_bytes: int) -> None:
        self._kept = Kept[K, V](limit_bytes)
        self._revision = -1

    @property
    def bytes(self) -> int:
        """As :attr:`Kept.bytes`."""
        return self._kept.bytes

    def get(self, revision: int, key: K) -> V | None:
        """The value that was kept for this key at this very revision."""
        return self._kept.get(key) if self._is_newest(revision) else None

    def keep(self, revision: int, key: K, value: V, size_bytes: int) -> None:
        """Keep a value that was made of this revision; not if a newer one was seen."""
        if self._is_newest(revision):
            self._kept.keep(key, value, size_bytes)

    def _is_newest(self, revision: int) -> bool:
        if revision > self._revision:
            self._kept.clear()
            self._revision = revision
        return revision == self._revision
