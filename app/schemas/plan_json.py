"""A plan's answer as JSON in pieces, so that the next image of its size costs two small ones."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.latency.latency import Latency
from app.core.plan.plan import CropPlan
from app.schemas.latency import LatencyAnswer, StagesMs
from app.schemas.plan import ImageAnswer, PlanAnswer

_BEFORE = {"model", "config"}
_OWN = {"image", "latency"}
"""What differs between two images of one size; ``PlanAnswer`` has the rest between the two."""

_PLAN_OBJECTS_BYTES = 2048


@dataclass(frozen=True, slots=True)
class PlanJson:
    """Everything that follows from a size and a configuration, as the JSON around what does not."""

    plan: CropPlan
    before_image: bytes
    before_latency: bytes

    @classmethod
    def of(cls, plan: CropPlan) -> PlanJson:
        answer = PlanAnswer.of(plan, Latency("none", ""))
        before = answer.model_dump_json(include=_BEFORE)
        between = answer.model_dump_json(exclude=_BEFORE | _OWN)
        return cls(
            plan,
            before_image=f'{before[:-1]},"image":'.encode(),
            before_latency=f',{between[1:-1]},"latency":'.encode(),
        )

    @property
    def size_bytes(self) -> int:
        """What keeping it takes, about."""
        return len(self.before_image) + len(self.before_latency) + _PLAN_OBJECTS_BYTES

    def answer(self, image: ImageAnswer, latency: bytes) -> bytes:
        """The JSON of the whole ``PlanAnswer``, byte for byte; ``latency`` as JSON."""
        own = image.model_dump_json().encode()
        return b"".join((self.before_image, own, self.before_latency, latency, b"}"))


def latency_json(latency: Latency, plan: CropPlan, stages: StagesMs | None = None) -> bytes:
    """A latency of this plan as JSON."""
    return LatencyAnswer.of(latency, plan.tokens.patch, stages).model_dump_json().encode()
