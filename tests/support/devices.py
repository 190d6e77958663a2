"""A device of the batcher: its passes are names, and a test ends them by hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from support.waiting import until

from app.core.errors import OutOfDeviceMemory
from app.serving.encode.batcher import Batched, Batcher


@dataclass(frozen=True)
class Image:
    """An item; its result is its name in capitals."""

    name: str
    total_crops: int = 1


class Flight:
    """A pass that is done once ``landed`` is set."""

    def __init__(self, images: Sequence[Image], failure: BaseException | None = None) -> None:
        self.names = "".join(image.name for image in images)
        self.crops = sum(image.total_crops for image in images)
        self.failure = failure
        self.landed = threading.Event()

    def is_done(self) -> bool:
        return False

    def wait(self) -> None:
        assert self.landed.wait(60)
        if self.failure:
            raise self.failure

    def result(self) -> list[str]:
        assert self.landed.is_set(), "asked before it was done"
        if self.failure:
            raise self.failure
        return [name.upper() for name in self.names]


@dataclass(frozen=True)
class Done:
    """A pass that was over when its launch returned, as on a CPU."""

    results: Sequence[Any]

    def is_done(self) -> bool:
        return True

    def wait(self) -> None:
        return None

    def result(self) -> Sequence[Any]:
        return self.results


class Device:
    """Runs passes in their launch, as a CPU does, or lets them fly until ``land``, as a GPU does.

    Attributes:
        passes: the names of every pass that was tried.
        held: while it is cleared, no pass ends in its launch.
        memory_crops: the crops that fit at a time.
        failures: the errors of passes with these names in them.
    """

    def __init__(self, *, flies: bool) -> None:
        self._flies = flies
        self.passes: list[str] = []
        self.flights: list[Flight] = []
        self.running, self.held = threading.Event(), threading.Event()
        self.held.set()
        self.memory_crops = 100
        self.failures: dict[str, BaseException] = {}

    def __call__(self, batch: Sequence[Image]) -> Flight | Done:
        failures = (self.failures[image.name] for image in batch if image.name in self.failures)
        flight = Flight(batch, next(failures, None))
        self.passes.append(flight.names)
        self.running.set()
        if not self._flies:
            assert self.held.wait(60)
            if flight.failure:
                raise flight.failure
        if sum(other.crops for other in self._flying()) + flight.crops > self.memory_crops:
            raise OutOfDeviceMemory("too large a pass")
        if not self._flies:
            return Done([name.upper() for name in flight.names])
        self.flights.append(flight)
        return flight

    def _flying(self) -> list[Flight]:
        return [flight for flight in self.flights if not flight.landed.is_set()]

    def land(self, names: str) -> None:
        """Let a pass be done, once it flies."""
        until(lambda: names in [flight.names for flight in self._flying()])
        next(flight for flight in self._flying() if flight.names == names).landed.set()

    def release(self) -> None:
        """Let all passes end."""
        self.held.set()
        for flight in self.flights:
            flight.landed.set()


def submit(batcher: Batcher, names: str, crops: int = 1) -> list[Future[Batched]]:
    """Queue an item of each name."""
    return [batcher.submit(Image(name, crops)) for name in names]


def results(futures: Sequence[Future[Batched]]) -> list[str]:
    """The results of all, each awaited."""
    return [future.result(60).result for future in futures]
