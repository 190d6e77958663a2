"""Give streams and events clocks, to check who has waited for whom."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from .state import DEVICE, LOCK, STATS, CudaError, check_works, problem
from .transfers import host_knows, host_waited

if TYPE_CHECKING:
    from .graphs import CUDAGraph
    from .memory import Buffer

Clock = dict[int, int]
"""Ticks by stream: a stream ticks with each piece of work."""
STREAMS: dict[int, Stream] = {}
CAPTURING: list[CUDAGraph] = []
sync_debug_mode: list[str | int] = ["default"]
_numbers = itertools.count()
_thread = threading.local()


class Stream:
    def __init__(self, device=None, priority=0, **_) -> None:
        self.id = self.stream_id = self.cuda_stream = next(_numbers)
        self.device, self.device_index, self.device_type = DEVICE, 0, 1
        self.tick = 0
        self.seen: Clock = {}
        self.capture: CUDAGraph | None = None
        self._asked_at = -1
        STREAMS[self.id] = self

    @property
    def clock(self) -> Clock:
        return {**self.seen, self.id: self.tick}

    def knows(self, stream: int, tick: int) -> bool:
        return stream == self.id or tick <= self.seen.get(stream, 0) or host_knows(stream, tick)

    def _wait(self, clock: Clock) -> None:
        check_works()
        with LOCK:
            for stream, tick in clock.items():
                self.seen[stream] = max(self.seen.get(stream, 0), tick)

    def wait_stream(self, other: Stream) -> None:
        self._wait(other.clock)

    def wait_event(self, event: Event) -> None:
        self._wait(event.clock)

    def record_event(self, event=None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        """Not done when first asked, unless waited for; done when asked again."""
        forbid_in_capture("stream.query")
        asked, self._asked_at = self._asked_at, self.tick
        if not host_knows(self.id, self.tick) and asked == self.tick:
            host_waited(self.clock)
        return host_knows(self.id, self.tick)

    def synchronize(self) -> None:
        wait("stream", self.clock)

    def __enter__(self):
        self._previous = current_stream()
        set_stream(self)
        return self

    def __exit__(self, *_) -> None:
        set_stream(self._previous)


DEFAULT = Stream()


class Event:
    def __init__(self, enable_timing=False, blocking=False, interprocess=False, external=False):
        self.timing = enable_timing
        self.clock: Clock = {}
        self._at: float | None = None
        self._asked = False

    def record(self, stream: Stream | None = None) -> None:
        check_works()
        self.clock = (stream or current_stream()).clock
        self._at, self._asked = time.perf_counter(), False

    def _host_knows(self) -> bool:
        return all(host_knows(*one) for one in self.clock.items())

    def query(self) -> bool:
        """Not done when first asked, unless waited for; done when asked again."""
        forbid_in_capture("event.query")
        if self._asked:
            host_waited(self.clock)
        self._asked = True
        return self._host_knows()

    def synchronize(self) -> None:
        wait("event", self.clock)

    def wait(self, stream: Stream | None = None) -> None:
        (stream or current_stream()).wait_event(self)

    def elapsed_time(self, end: Event) -> float:
        check_works()
        if not (self.timing and end.timing):
            raise ValueError("both events must be created with argument 'enable_timing=True'")
        if self._at is None or end._at is None:
            raise ValueError("both events must be recorded")
        if not (self._host_knows() and end._host_knows()):
            raise RuntimeError("CUDA error: device not ready")
        return (end._at - self._at) * 1e3


def current_stream(device=None) -> Stream:
    return getattr(_thread, "stream", DEFAULT)


def set_stream(stream: Stream) -> None:
    _thread.stream = stream


def capturing() -> CUDAGraph | None:
    """Return the graph under capture on this thread's current stream."""
    return current_stream().capture


def forbid_in_capture(what: str) -> None:
    """Break this thread's capture, or a capture with the rules for every thread."""
    check_works()
    for graph in CAPTURING:
        if graph is capturing() or graph.mode == "global":
            graph.broken = True
            raise CudaError(
                f"CUDA error: operation not permitted when stream is capturing ({what})"
            )


def wait(what: str, clock: Clock) -> None:
    """Let the host wait."""
    forbid_in_capture(what)
    STATS[f"waits: {what}"] += 1
    host_waited(clock)


def synchronize(device=None) -> None:
    wait("synchronize", {stream.id: stream.tick for stream in STREAMS.values()})


def hidden_wait(what: str) -> None:
    """Let an operation make the host wait without an explicit call."""
    if sync_debug_mode[0] in ("error", 2):
        raise RuntimeError(f"called a synchronizing CUDA operation: {what}")
    wait(f"hidden, {what}", current_stream().clock)


def order(stream: Stream, reads: list[Buffer], writes: list[Buffer], what: str) -> None:
    """Give work to a stream; report a race if the stream did not wait for others' use."""
    if stream.capture is not None:
        return
    with LOCK:
        stream.tick += 1
        for buffer in reads:
            if not stream.knows(*buffer.write):
                problem(f"race: {what} reads what another stream still writes")
            if buffer.is_stale():
                problem(f"{what} reads a graph's own memory that no longer is that graph's")
            buffer.reads[stream.id] = stream.tick
            buffer.used[stream.id] = stream.tick, what
        for buffer in writes:
            if not all(stream.knows(*one) for one in (buffer.write, *buffer.reads.items())):
                problem(f"race: {what} overwrites what another stream still uses")
            buffer.write, buffer.reads = (stream.id, stream.tick), {}
            buffer.used[stream.id] = stream.tick, what
