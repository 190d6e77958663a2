"""What the service needs of an encoder, and the values that pass between the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from app.core.latency.profile import Profile
from app.core.plan.plan import CropPlan

if TYPE_CHECKING:
    from torch import Tensor

    from app.encoder.measuring.measure import Progress
    from app.encoder.measuring.series import Run
    from app.imaging.read.decode import Picture

Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """One pass over an image's own crops, in ms."""

    vision_ms: float
    vit_ms: float
    connector_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image's own crops, on the device.

    ``run_pass`` runs and times one pass over them. ``transfer_ms`` is the time their copy over the
    bus took, None where there is no bus.
    """

    run_pass: Callable[[], MeasuredPass]
    transfer_ms: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """An image's crops, prepared as far as they can be without the device.

    ``total_crops`` is what it adds to a pass; ``crops`` only the encoder that made it reads.
    """

    total_crops: int
    crops: Any


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTokens:
    """One image's vision tokens, on the host.

    ``tokens`` [N, L] in the encoder's dtype; ``positions`` int64 [N], where each goes in the
    image's prompt tokens.
    """

    tokens: Tensor
    positions: Tensor


class Pending(Protocol[Result]):
    """A pass that was launched. It must be kept until its result is had, as the device uses it."""

    def is_done(self) -> bool:
        """Tell whether the device is done with the pass."""

    def wait(self) -> None:
        """Return when it is; from any thread. What it raises :meth:`result` raises, too."""

    def result(self) -> Sequence[Result]:
        """The results of the images of the pass, in order. Waits if it must."""


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[Result]):
    """A pass that was over when its launch returned, as on a CPU."""

    results: Sequence[Result]

    def is_done(self) -> bool:
        return True

    def wait(self) -> None:
        return None

    def result(self) -> Sequence[Result]:
        return self.results


@dataclass(frozen=True, slots=True)
class MeasurementRequest:
    """What a measurement of the profile is to do.

    Attributes:
        counts: total crops, the global one included, rising.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        repeats: timed passes of each count; None: as many as suit the device.
        full: whether passes from the decoded image are timed, too, where they are not anyway.
    """

    counts: tuple[int, ...]
    dtype: str
    repeats: int | None = None
    full: bool = False


class ServedEncoder(Protocol):
    """What the service needs of an encoder.

    Calls that use the device come from the worker's thread. The real encoder is
    in ``app.serving.device.torch_encoder``; a test passes its own.
    """

    @property
    def model(self) -> str:
        """The family's name."""

    @property
    def device(self) -> str:
        """The device's own name."""

    @property
    def dtype(self) -> str:
        """What it computes in."""

    @property
    def runtime(self) -> str:
        """How the network is run."""

    @property
    def weights(self) -> str:
        """``random`` or ``checkpoint``."""

    @property
    def note(self) -> str | None:
        """Told on /readyz, where the encoder is not the one that was hoped for."""

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if the plan is not one this encoder can run."""

    def prepare(self, picture: Picture, plan: CropPlan) -> PreparedImage:
        """Put the crops on the device, and wait until they are there."""

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """Everything that can be done without the device; from any thread, several at once."""

    def launch(self, batch: Sequence[Staged]) -> Pending[EncodedTokens]:
        """Begin one pass over what ``stage`` made, which gives the tokens of each, in order.

        The next may be launched before this one is done; two at most are.

        Raises:
            OutOfDeviceMemory: the pass did not fit; the encoder can still be used.
            DeviceLost: it never can again. The pass's result may raise that, too.
        """

    @property
    def profile_counts(self) -> int:
        """The most total crops of a complete profile, which has all counts from 1."""

    def saved_profile(self) -> Profile | None:
        """The profile that was saved, if it was measured under the same conditions."""

    def save_profile(self, profile: Profile) -> None:
        """Keep a profile for the next start; where that cannot be done, the log says so."""

    def profile(
        self,
        request: MeasurementRequest,
        *,
        resume: Profile | None,
        run: Run,
        progress: Callable[[Progress], None],
        until: Callable[[], bool],
    ) -> Iterator[Profile]:
        """Measure a profile in this encoder's dtype, yielding it as it grows; called anywhere.

        Args:
            resume: an earlier profile, whose full entries are kept and not measured again.
            run: carries out every piece of work on the device.
            progress: told of each pass.
            until: no pass starts once this is true; the last profile is then not complete.

        Raises:
            OutOfDeviceMemory: what all these counts take in together does not fit.
        """

    def in_dtype(self, dtype: str) -> ServedEncoder:
        """A second encoder of the same weights in another dtype.

        It lives as long as it is held; afterwards :meth:`give_memory_back` is to be called.

        Raises:
            OutOfDeviceMemory: it would not fit beside this one.
        """

    def give_memory_back(self) -> None:
        """Return to the system what a second encoder took, now that nothing refers to it."""
