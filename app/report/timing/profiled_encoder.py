"""What a profiling needs of an encoder; it knows no torch, and a test needs no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.core.latency.timings import Warmup
from app.core.plan.plan import CropPlan


class PassTimes(Protocol):
    """In ms; ``vision_ms`` is the pass that ``vit_ms`` and ``connector_ms`` are the parts of."""

    @property
    def vit_ms(self) -> float: ...
    @property
    def connector_ms(self) -> float: ...
    @property
    def vision_ms(self) -> float: ...
    @property
    def cpu_ms(self) -> float: ...


class ProfiledEncoder(Protocol):
    """What is profiled; :class:`app.report.timing.torch_encoder.TorchEncoder` is one.

    Between two calls the device has nothing left to do.
    """

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if no plan of this configuration can be run."""

    def check_memory(self, plan: CropPlan) -> None:
        """Raise OutOfDeviceMemory if this plan's pass would not fit now."""

    def prepare(self, pixels: npt.NDArray[np.uint8], plan: CropPlan) -> tuple[Any, float | None]:
        """The crops of uint8 RGB [H, W, 3] on the device, once they are there.

        And the ms of it that the copy over the bus took; None where there is no bus.
        """

    def run(self, prepared: Any) -> PassTimes:
        """One pass over them, once its tokens are there."""


class Warming(Protocol):
    """A rule for warming up; :class:`app.encoder.measuring.warmup.WarmupRule` is one."""

    def warm(self, call: Callable[[], float]) -> Warmup:
        """Call until the times have settled, at least once; ``call`` returns its ms."""
