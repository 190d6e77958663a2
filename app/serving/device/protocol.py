"""Define the encoder of the service by its protocol and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.core.latency.profile import Profile, Weights
from app.core.latency.status import MeasurementRequest, Progress
from app.core.plan.plan import CropPlan

if TYPE_CHECKING:
    from app.encoder.encoder import Staged, StageTimes, VisionTokens
    from app.encoder.measuring.series import Run
    from app.imaging.read.decode import Picture

Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """Hold an image's own crops on the device.

    Attributes:
        run_pass: runs and times one pass over the crops.
        transfer_ms: the time of the copy over the bus; None on a device without a bus.
    """

    run_pass: Callable[[], StageTimes]
    transfer_ms: float | None


class Pending(Protocol[Result]):
    """Represent a launched pass. The device uses its memory: hold it until :meth:`result`."""

    def is_done(self) -> bool:
        """Return True if the device has finished the pass."""

    def wait(self) -> None:
        """Wait for the end, in any thread. :meth:`result` raises the same errors."""

    def result(self) -> Sequence[Result]:
        """Return the results of all images in order, and wait if needed."""


class ServedEncoder(Protocol):
    """Run the network for the service.

    Calls on the device come from the worker's thread. ``app.serving.device.torch_encoder`` has the
    real encoder; tests pass their own.

    Every call on the device may raise DeviceLost: the encoder is then unusable for good.

    Attributes:
        model: the family's name.
        device: the device's own name.
        dtype: the name of the dtype of the computation.
        runtime: the name of the runtime.
        weights: ``random`` or ``checkpoint``.
        note: explains on /readyz a fallback to another dtype than the fastest; None without one.
    """

    model: str
    device: str
    dtype: str
    runtime: str
    weights: Weights
    note: str | None

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch for a plan of another model or crop side."""

    def prepare(self, picture: Picture, plan: CropPlan) -> PreparedImage:
        """Put the crops on the device, and wait for their arrival.

        Raises:
            OutOfDeviceMemory: the crops do not fit.
        """

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """Prepare the crops as far as possible without the device, in any thread.

        Raises:
            OutOfDeviceMemory: the host's memory ran out.
            DeviceLost: the device gives no pinned memory.
        """

    def launch(self, batch: Sequence[Staged]) -> Pending[VisionTokens]:
        """Start one pass over staged images. Its results are their tokens on the host, in order.

        A second pass may be launched before the end of the first, a third may not.

        Raises:
            OutOfDeviceMemory: the pass did not fit; the encoder is still usable.
            DeviceLost: the pass's result may raise this too.
        """

    @property
    def profile_counts(self) -> int:
        """Return the most total crops of a complete profile; its counts begin at 1."""

    def saved_profile(self) -> Profile | None:
        """Load the profile of an earlier start under the same conditions; None without one."""

    def save_profile(self, profile: Profile) -> None:
        """Save a profile for the next start; a failure goes to the log."""

    def profile(
        self,
        request: MeasurementRequest,
        *,
        resume: Profile | None,
        run: Run,
        progress: Callable[[Progress], None],
        until: Callable[[], bool],
    ) -> Iterator[Profile]:
        """Measure a profile in this encoder's dtype, in any thread; yield the growing profile.

        Args:
            resume: an earlier profile; its full entries are not measured again.
            run: carries out every piece of work on the device.
            progress: called after each pass.
            until: returns True to start no further pass; the last profile is then incomplete.

        Raises:
            OutOfDeviceMemory: the inputs of all counts together do not fit.
            DeviceLost: the device takes no call any more; ``run`` may raise this too.
        """

    def in_dtype(self, dtype: str) -> ServedEncoder:
        """Load a second encoder of the same weights in another dtype.

        Call :meth:`give_memory_back` after the last reference to the second encoder is gone.

        Raises:
            OutOfDeviceMemory: the second encoder would not fit beside this one.
            CheckpointError, EncoderUnavailable: see :func:`app.encoder.loading.load_encoder`.
        """

    def give_memory_back(self) -> None:
        """Return the memory of an unreferenced second encoder to the system."""
