"""An encoder to be timed that has no network, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from app.core.latency.timings import Warmup
from app.core.plan.plan import CropPlan


@dataclass
class Clock:
    """Seconds; a second passes between two looks at it."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@dataclass(frozen=True)
class Times:
    vit_ms: float
    connector_ms: float
    vision_ms: float
    cpu_ms: float


@dataclass
class FakeTimedEncoder:
    """A second for each crop in the ViT, a tenth of it in the connector.

    ``did`` is what was called, with the plan; ``before`` is called first, and may raise.
    """

    clock: Clock = field(default_factory=Clock)
    transfer_ms: float | None = None
    before: Callable[[str, CropPlan], None] = lambda what, plan: None
    did: list[tuple[str, CropPlan]] = field(default_factory=list)

    def _do(self, what: str, plan: CropPlan) -> None:
        self.before(what, plan)
        self.did.append((what, plan))

    def check(self, plan: CropPlan) -> None:
        self._do("check", plan)

    def check_memory(self, plan: CropPlan) -> None:
        self._do("check_memory", plan)

    def prepare(self, pixels: np.ndarray, plan: CropPlan) -> tuple[CropPlan, float | None]:
        assert pixels.shape == (plan.image.height, plan.image.width, 3)
        self._do("prepare", plan)
        self.clock.now += 10
        return plan, self.transfer_ms

    def run(self, prepared: CropPlan) -> Times:
        self._do("run", prepared)
        vit, connector = 1000.0 * prepared.total_crops, 100.0 * prepared.total_crops
        return Times(vit, connector, vit + connector, 2 * vit)

    def plans(self, what: str) -> list[CropPlan]:
        return [plan for done, plan in self.did if done == what]


class Thrice:
    """A rule for warming up that calls three times, whatever they take; ``took`` is their ms."""

    def __init__(self) -> None:
        self.took: list[float] = []

    def warm(self, call: Callable[[], float]) -> Warmup:
        self.took += [call() for _ in range(3)]
        return Warmup(3, settled=True)
