"""Define the values of an adaptation: a wish for a budget, and the compared candidates."""

from dataclasses import dataclass

from app.core.control.budget import Budget, ResizingMode, Strategy
from app.core.control.choice import Judged
from app.core.control.resizing import Upscale
from app.core.latency.prefill import PrefillCost


@dataclass(frozen=True, slots=True)
class Wish:
    """Describe a budget and the allowed ways to meet it.

    Attributes:
        budget: the limits on latency and tokens.
        strategy: the kinds of change that may lower the cost.
        modes: the allowed ways to resize.
        upscale: ``allow`` adds candidates with enlarged pixels.
        quality_threshold: the least SSIM of a made image.
        prefill: the language model's part of the latency.
    """

    budget: Budget
    strategy: Strategy = "best"
    modes: tuple[ResizingMode, ...] = ("fit", "pad")
    upscale: Upscale = "never"
    quality_threshold: float | None = None
    prefill: PrefillCost | None = None


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Hold the weighed candidates, the cheapest first.

    ``compared_px`` are the pixels of the original at which qualities were compared. It is None for
    an image within the budget: no other candidate was weighed then.
    """

    table: tuple[Judged, ...]
    compared_px: int | None

    @property
    def chosen(self) -> Judged:
        """Return the chosen candidate."""
        return next(one for one in self.table if one.chosen)
