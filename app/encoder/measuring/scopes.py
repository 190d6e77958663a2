"""What is timed of an encoder, each directly and in passes of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from app.core.plan.plan import CropPlan
from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.encoder import Encoder, HostImage, PreparedCrops, StageTimes
from app.encoder.synthetic import ProfilePlan, synthetic_crops, synthetic_image

Scope = Literal["vision", "transfer_vision", "full"]
"""``vision``: patches on the device → tokens on the device, the figure. ``transfer_vision``: pixels
in pinned host memory → tokens on the device. ``full``: decoded image → tokens on the device."""
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One number of crops, ready to be timed in every scope it has."""

    encoder: Encoder
    crops: PreparedCrops
    image: tuple[Tensor, CropPlan] | None
    waiting: HostImage | None

    def scopes(self, wanted: Sequence[Scope]) -> tuple[Scope, ...]:
        """Those of ``wanted`` that there are: the global crop alone is no image, and where the
        host is the device no bus is crossed.
        """
        here = {"vision": True, "transfer_vision": self.waiting, "full": self.image}
        return tuple(scope for scope in wanted if here[scope])

    def vision(self) -> StageTimes:
        """One pass over crops that lie on the device."""
        return self.encoder.run_timed(self.crops)

    def transfer_vision_ms(self) -> float:
        """One pass that begins with pixels in pinned memory."""
        assert self.waiting is not None
        device = self.encoder.device
        synchronise(device)  # earlier work is not this pass's
        start = mark(device)
        self.encoder.run(self.encoder.upload(self.waiting))
        end = mark(device)
        synchronise(device)
        return elapsed_ms(start, end)

    def full_ms(self) -> float:
        """One pass that begins with a decoded image, by the host's clock."""
        assert self.image is not None
        device = self.encoder.device
        synchronise(device)
        started = time.perf_counter()
        self.encoder.run(self.encoder.prepare(*self.image))
        synchronise(device)
        return (time.perf_counter() - started) * 1e3


def subject_of(encoder: Encoder, plan: ProfilePlan, scopes: Sequence[Scope]) -> Subject:
    """Noise in the shape of a plan: as patches, and as an image where a scope needs one."""
    needs_image = plan.total_crops > 1 and set(scopes) != {"vision"}
    image = synthetic_image(plan) if needs_image else None
    staged = encoder.stage(*image) if image else None
    return Subject(
        encoder=encoder,
        crops=synthetic_crops(plan, encoder.device, encoder.dtype),
        image=image,
        waiting=staged if isinstance(staged, HostImage) else None,
    )
