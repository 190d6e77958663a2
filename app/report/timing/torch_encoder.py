"""Run the real encoder for a timing. The file imports torch, so import the file late."""

import numpy as np
import numpy.typing as npt

from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.encoder.device.memory import in_device_memory
from app.encoder.encoder import Encoder, PreparedCrops, StageTimes
from app.encoder.measuring.machine import MachineWatch
from app.encoder.measuring.record import conditions, profile_key
from app.report.timing.components import ComponentTiming
from app.report.timing.timing_file import Conditions


class TorchEncoder:
    """Run an encoder within its memory, and watch the machine. Between two calls the device idles.

    Make the object just before a timing: it reads the machine's state at once.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._watch = MachineWatch(encoder.device)

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if the encoder runs no plan of this configuration."""
        self._encoder.check(plan)

    def check_memory(self, plan: CropPlan) -> None:
        """Raise OutOfDeviceMemory if this plan's image and pass would not fit now."""
        self._encoder.check_memory(plan.total_crops, [plan])

    def prepare(
        self, pixels: npt.NDArray[np.uint8], plan: CropPlan
    ) -> tuple[PreparedCrops, float | None]:
        """Put the crops of uint8 RGB [H, W, 3] on the device.

        Returns:
            The crops, and the ms of their copy over the bus; None without a bus.

        Raises:
            OutOfDeviceMemory: the crops did not fit.
        """
        return in_device_memory(lambda: self._encoder.prepare_timed(pixels, plan))

    def run(self, prepared: PreparedCrops) -> StageTimes:
        """Run one pass over the crops, and wait for its tokens.

        Raises:
            OutOfDeviceMemory: the pass did not fit.
        """
        return in_device_memory(lambda: self._encoder.run_timed(prepared))

    def conditions(self, config: CropConfig, timing: ComponentTiming) -> Conditions:
        """Return the conditions of the timing that has just ended."""
        found = conditions(
            self._encoder,
            profile_key(self._encoder, config),
            self._watch.before,
            self._watch.after(),
            cpu_ms=timing.total_ms("cpu"),
            wall_ms=timing.total_ms("vision"),
        )
        return Conditions(**found)
