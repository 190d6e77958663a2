"""The encoder by itself, without a server: what batching is held against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from app.encoder.encoder import Encoder, PreparedCrops


class FixedBatch:
    """Direct passes over always the same images."""

    def __init__(self, encoder: Encoder, batch: Sequence[PreparedCrops]) -> None:
        self._encoder, self._batch = encoder, batch
        self.crops = sum(prepared.total_crops for prepared in batch)
        self.samples_s: list[float] = []
        self.cpu_s: list[float] = []

    def run(self) -> None:
        """One more pass."""
        began, cpu_before = time.perf_counter(), time.process_time()
        self._encoder.encode(self._batch)  # waits until the tokens are there
        self.samples_s.append(time.perf_counter() - began)
        self.cpu_s.append(time.process_time() - cpu_before)

    @property
    def p50_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def crops_per_s(self) -> float:
        return self.crops / self.p50_s

    @property
    def cpu_s_per_crop(self) -> float:
        return statistics.median(self.cpu_s) / self.crops

    def as_row(self) -> dict[str, Any]:
        """For the saved result."""
        return {
            "images": len(self._batch),
            "crops": self.crops,
            "crops_per_s": self.crops_per_s,
            "samples_s": self.samples_s,
            "cpu_s": self.cpu_s,
        }


def in_turn(prepared: Sequence[PreparedCrops], images: int) -> list[PreparedCrops]:
    """The images in turn, as the clients send them."""
    return [prepared[number % len(prepared)] for number in range(images)]


def run_all(batches: Sequence[FixedBatch], passes: int) -> None:
    """So many passes of each, taking turns."""
    for _ in range(passes):
        for batch in batches:
            batch.run()
