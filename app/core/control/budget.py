"""List the candidates of a budget: every way to make an image cheaper, with its cost.

No pixel is touched here. ``app.core.control.choice`` takes one of them, by measured quality.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, get_args

from app.core.control.fitting import canvas_grids
from app.core.control.resizing import ResizeDecision, Upscale, leave_alone, ways_to_resize
from app.core.control.retained import retained_pixels_per_patch
from app.core.errors import CollapsedImage, InvalidConfig
from app.core.plan.canvas import canvas_size
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.plan import CropPlan, make_plan, plan_with_grid
from app.core.plan.tiling import required_scales, select_by_limit, select_tiling

Strategy = Literal["best", "resize", "max_crops", "hybrid"]
ResizingMode = Literal["fit", "pad", "crop", "stretch"]
AdaptMode = Literal["unchanged", "fit", "max_crops", "pad", "crop", "stretch"]
"""The modes in order of change, the least first: of equals the earlier wins."""

LatencyOf = Callable[[CropPlan], float | None]
"""The ms of a plan, at the budget's percentile and with prefill if known; None: not known."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limit the latency and the tokens; at least one limit is set.

    Attributes:
        latency_ms: of the vision tokens, and of prefill if its cost is known.
        percentile: of that latency, above 0 and below 100.
        tokens: prompt tokens of the image.

    Raises:
        InvalidConfig: neither limit, or a value out of range.
    """

    latency_ms: float | None = None
    tokens: int | None = None
    percentile: float = 95

    def __post_init__(self) -> None:
        if self.latency_ms is None and self.tokens is None:
            raise InvalidConfig("give latency_budget_ms, max_tokens or both")
        if self.latency_ms is not None and not 0 < self.latency_ms < inf:
            raise _refused("latency_budget_ms", "above 0 and finite", self.latency_ms)
        if self.tokens is not None and self.tokens < 1:
            raise _refused("max_tokens", "at least 1", self.tokens)
        if not 0 < self.percentile < 100:
            raise _refused("percentile", "above 0 and below 100", self.percentile)

    def holds(self, plan: CropPlan, latency_ms: float | None) -> bool:
        """Return True if a plan of that latency stays within; an unknown latency never does."""
        if self.tokens is not None and plan.tokens.prompt > self.tokens:
            return False
        if self.latency_ms is None:
            return True
        return latency_ms is not None and latency_ms <= self.latency_ms

    def __str__(self) -> str:
        limits = []
        if self.latency_ms is not None:
            limits.append(f"{self.latency_ms:g} ms at p{self.percentile:g}")
        if self.tokens is not None:
            limits.append(f"{self.tokens} prompt tokens")
        return " and ".join(limits)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold one way to make an image cheaper.

    ``plan`` is the model's plan of the image that ``decision`` makes. It holds under the
    ``max_crops`` of its own configuration, perhaps lower than the ``max_crops`` asked about.
    """

    mode: AdaptMode
    decision: ResizeDecision
    plan: CropPlan
    latency_ms: float | None

    @property
    def max_crops(self) -> int:
        """Return the limit to give the inference server."""
        return self.plan.config.max_crops

    @property
    def pixels_per_patch(self) -> float:
        """Return the retained px of the original per patch that the encoder runs."""
        return retained_pixels_per_patch(self.plan, self.decision)

    @property
    def change(self) -> int:
        """Rank the change from 0, the least."""
        return get_args(AdaptMode).index(self.mode)

    @property
    def retained(self) -> tuple[Size, Box]:
        """Return the size of the original on the canvas, never enlarged, and the part shown.

        Quality is measured by these px, not by those of the file: the model's own resize shrinks a
        large image, too.
        """
        placed, canvas = self.decision.placed, self.plan.canvas
        return Size(
            _not_enlarged(placed.width, canvas.scale_x),
            _not_enlarged(placed.height, canvas.scale_y),
        ), self.decision.source


def as_it_is(
    image: Size,
    config: CropConfig,
    budget: Budget,
    latency_of: LatencyOf,
    *,
    strategy: Strategy = "best",
) -> Candidate | None:
    """Leave the image alone; None if Molmo cannot plan it.

    Under ``hybrid`` it is planned with the limit for all images. The image counts as unchanged only
    if that limit does not change its tiling.
    """
    return _left_alone(image, config, _config(config, budget, latency_of, strategy), latency_of)


def candidates(
    image: Size,
    config: CropConfig,
    budget: Budget,
    latency_of: LatencyOf,
    *,
    strategy: Strategy = "best",
    modes: Sequence[ResizingMode] = ("fit", "pad"),
    upscale: Upscale = "never",
) -> tuple[Candidate, ...]:
    """List all candidates of a strategy, each tiling of a mode once, cheapest first.

    ``resize`` makes another image by ``modes``. ``max_crops`` leaves the image alone and lowers the
    model's own limit. ``best`` has both. ``hybrid`` lowers the limit until no image of any shape
    breaks the budget, and resizes within it.

    The unchanged image is listed too, for comparison. A candidate saves crops or tokens against the
    plan of the image under ``config``.
    """
    limited = _config(config, budget, latency_of, strategy)
    found: list[Candidate] = []
    if strategy != "max_crops":
        found += _resized(image, limited, latency_of, modes, upscale)
    if strategy in ("best", "max_crops"):
        found += _under_lower_limits(image, config, latency_of)
    if (unlimited := _left_alone(image, config, config, latency_of)) is not None:
        found = [one for one in found if _saves(one.plan, unlimited.plan)]
    if (whole := _left_alone(image, config, limited, latency_of)) is not None:
        found.append(whole)
    return tuple(sorted(found, key=cost))


def safe_limit(config: CropConfig, budget: Budget, latency_of: LatencyOf) -> int:
    """Return the largest ``max_crops`` under which no image of any shape breaks the budget.

    It is at least 1, even if one crop breaks the budget.
    """
    safe = 1
    for crops in range(1, config.max_crops + 1):
        for grid in canvas_grids(config).get(crops, ()):
            plan = plan_with_grid(canvas_size(grid, config), grid, config)
            if not budget.holds(plan, latency_of(plan)):
                return safe
        safe = crops
    return safe


def cost(candidate: Candidate) -> tuple[float, ...]:
    """Return the order of candidates: latency if known, tokens, crops, then change."""
    plan, latency_ms = candidate.plan, candidate.latency_ms
    known = inf if latency_ms is None else latency_ms
    return known, plan.tokens.prompt, plan.total_crops, candidate.change


def _left_alone(
    image: Size, config: CropConfig, limited: CropConfig, latency_of: LatencyOf
) -> Candidate | None:
    """Leave the image alone under ``limited``, perhaps a lower limit than that of ``config``."""
    try:
        plan = make_plan(image, limited)
    except CollapsedImage:
        return None
    mode: AdaptMode = "unchanged" if plan.grid == select_tiling(image, config) else "max_crops"
    return Candidate(mode, leave_alone(image, plan.grid), plan, latency_of(plan))


def _resized(
    image: Size,
    config: CropConfig,
    latency_of: LatencyOf,
    modes: Iterable[ResizingMode],
    upscale: Upscale,
) -> Iterator[Candidate]:
    for mode in modes:
        for decision in ways_to_resize(image, config, mode, upscale=upscale):
            if mode == "fit" and decision.size == image:
                continue  # the image is left alone elsewhere
            plan = plan_with_grid(decision.size, decision.grid, config)
            yield Candidate(mode, decision, plan, latency_of(plan))


def _under_lower_limits(
    image: Size, config: CropConfig, latency_of: LatencyOf
) -> Iterator[Candidate]:
    """Leave the image alone under each limit that changes its tiling: the lowest of equal ones."""
    lowest: dict[Grid, int] = {}
    scales = required_scales(image, config)
    for max_crops, grid in select_by_limit(scales, config.max_crops).items():
        if max_crops < config.max_crops:
            lowest.setdefault(grid, max_crops)
    for grid, max_crops in lowest.items():
        limited = replace(config, max_crops=max_crops)
        try:
            plan = plan_with_grid(image, grid, limited)
        except CollapsedImage:
            continue
        yield Candidate("max_crops", leave_alone(image, grid), plan, latency_of(plan))


def _config(
    config: CropConfig, budget: Budget, latency_of: LatencyOf, strategy: Strategy
) -> CropConfig:
    """Return the model's configuration for all images under a strategy."""
    if strategy != "hybrid":
        return config
    return replace(config, max_crops=safe_limit(config, budget, latency_of))


def _saves(plan: CropPlan, whole: CropPlan) -> bool:
    """Return True if a plan has fewer crops or fewer tokens: either may cost."""
    return plan.total_crops < whole.total_crops or plan.tokens.prompt < whole.tokens.prompt


def _not_enlarged(side_px: float, scale: float) -> int:
    return max(1, round(side_px * min(1.0, scale)))


def _refused(parameter: str, must_be: str, value: float) -> InvalidConfig:
    # As text, because JSON has no infinity.
    return InvalidConfig(
        f"{parameter} must be {must_be}, not {value:g}", parameter=parameter, actual=str(value)
    )
