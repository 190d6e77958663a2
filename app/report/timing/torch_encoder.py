"""The real encoder for the timing of components. Imported late, as this file imports torch."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import torch

from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.encoder.device.memory import in_device_memory
from app.encoder.encoder import Encoder, PreparedCrops, StageTimes
from app.encoder.measuring.machine import MachineWatch, contention
from app.encoder.measuring.record import cpu_share, fidelity_of, profile_key, versions_of
from app.report.timing.component_record import Conditions
from app.report.timing.components import ComponentProfiling


class TorchEncoder:
    """An encoder that refuses what does not fit its memory, and the machine around it.

    Make it just before profiling: the machine's state is looked at then.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._watch = MachineWatch(encoder.device)

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if no plan of this configuration can be run."""
        self._encoder.check(plan)

    def check_memory(self, plan: CropPlan) -> None:
        """Raise OutOfDeviceMemory if this plan's image and pass would not fit now."""
        self._encoder.check_memory(plan.total_crops, [plan])

    def prepare(
        self, pixels: npt.NDArray[np.uint8], plan: CropPlan
    ) -> tuple[PreparedCrops, float | None]:
        """The crops of uint8 RGB [H, W, 3] on the device, and the ms of their copy over the bus.

        Raises:
            OutOfDeviceMemory: it turned out not to fit.
        """
        return in_device_memory(lambda: self._encoder.prepare_timed(pixels, plan))

    def run(self, prepared: PreparedCrops) -> StageTimes:
        """One pass over them, once its tokens are there.

        Raises:
            OutOfDeviceMemory: it turned out not to fit.
        """
        return in_device_memory(lambda: self._encoder.run_timed(prepared))

    def conditions(self, config: CropConfig, profiling: ComponentProfiling) -> Conditions:
        """What the profiling that has just ended was measured under."""
        key = profile_key(self._encoder, config)
        after = self._watch.after()
        share = cpu_share(
            key, spent_ms=profiling.total_ms("cpu"), wall_ms=profiling.total_ms("vision")
        )
        return Conditions(
            device=key.device,
            device_type=key.device_type,
            dtype=key.dtype,
            runtime=key.runtime,
            weights=key.weights,
            threads=torch.get_num_threads(),
            versions=versions_of(key),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            fidelity=fidelity_of(self._encoder),
            machine_before=self._watch.before,
            machine_after=after,
            contended=contention(self._watch.before, after, cpu_share=share),
        )
