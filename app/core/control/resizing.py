"""Decide the resize of an image that meets a target of crops, tokens or a tiling.

No pixel is touched here: ``app.imaging`` carries a :class:`ResizeDecision` out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from app.core.control.fitting import canvas_grids, fitting_sizes, nearest_grid
from app.core.errors import InvalidConfig, UnreachableTarget
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.tokens import count_tokens

ResizeMode = Literal["auto", "fit", "pad", "crop", "stretch"]
DecidedMode = Literal["unchanged", "fit", "pad", "crop", "stretch"]
Upscale = Literal["allow", "never"]


@dataclass(frozen=True, slots=True)
class Target:
    """Ask for a number of grid crops, for a limit of prompt tokens, or for one grid."""

    crops: int | None = None
    tokens: int | None = None
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class ResizeDecision:
    """Hold the decision to make an image that gets ``grid``.

    ``source`` (px of the original) is resized to fill ``placed`` (px of the output); the rest of
    ``size`` is black.
    """

    mode: DecidedMode
    grid: Grid
    size: Size
    source: Box
    placed: Box

    @property
    def scale_x(self) -> float:
        """Return the output px per px of the original."""
        return self.placed.width / self.source.width

    @property
    def scale_y(self) -> float:
        return self.placed.height / self.source.height

    @property
    def upscaled(self) -> bool:
        return self.scale_x > 1 or self.scale_y > 1


class LeastChange(NamedTuple):
    """Hold the size that gives an image a grid by the least change, and the mode of the resize."""

    grid: Grid
    size: Size
    mode: DecidedMode


@dataclass(frozen=True, slots=True)
class Resizing:
    """Hold the decision, and the other ways to reach the same target."""

    decision: ResizeDecision
    alternatives: tuple[ResizeDecision, ...]


def decide_resize(
    image: Size,
    config: CropConfig,
    target: Target,
    *,
    mode: ResizeMode = "auto",
    upscale: Upscale = "allow",
    may_stay: bool = True,
) -> Resizing:
    """Choose a way for an image to meet the target.

    ``auto`` leaves an image alone if it has the wanted crops or tiling and ``may_stay``. Else it
    fits the image without a change of aspect, else it pads. A target of tokens takes the plan with
    the most tokens within the target, so it may enlarge an image. ``auto`` takes this plan from the
    plans of the image's own aspect, if there are any: a strip with padding would have more tokens
    and show less. Pad, crop and stretch have one grid for each count, the nearest to the aspect.

    Raises:
        InvalidConfig: no target, or targets that contradict each other.
        UnreachableTarget: nothing meets it; the error lists everything reachable, by mode.
    """
    _check(target)
    request = _Request(image, config, target, upscale, may_stay)
    decision = request.decide(mode)
    if decision is None:
        raise request.unreachable(mode)
    return Resizing(decision, request.alternatives_to(decision))


def least_changes(image: Size, config: CropConfig) -> list[LeastChange]:
    """List the resize that ``auto`` decides for every count of crops that has one, rising."""
    fits: dict[int, LeastChange] = {}
    for grid, size in fitting_sizes(image, config).items():
        fit = LeastChange(grid, size, "unchanged" if size == image else "fit")
        rival = fits.setdefault(grid.crops, fit)
        # Rounding at an aspect between two grids of a count can make it reach both.
        if rival is not fit and _closeness(fit, image, config) > _closeness(rival, image, config):
            fits[grid.crops] = fit
    changes = []
    for crops, canvases in canvas_grids(config).items():
        if (change := fits.get(crops)) is None:
            grid = nearest_grid(crops, image, config)
            change = LeastChange(grid, canvases[grid], "pad")
        changes.append(change)
    return changes


def ways_to_resize(
    image: Size, config: CropConfig, mode: DecidedMode, *, upscale: Upscale = "allow"
) -> tuple[ResizeDecision, ...]:
    """List everything that ``mode`` reaches, each grid at most once; a fit may be the own size."""
    return tuple(_Request(image, config, Target(), upscale).options(mode))


def _closeness(
    option: ResizeDecision | LeastChange, image: Size, config: CropConfig
) -> tuple[bool, int]:
    """Rank the ways to one count: the image's own size first, then the most tokens."""
    return option.size == image, count_tokens(option.grid, config).prompt


def leave_alone(image: Size, grid: Grid) -> ResizeDecision:
    """Decide to leave an image of tiling ``grid`` alone."""
    return ResizeDecision("unchanged", grid, image, Box.of(image), Box.of(image))


def _check(target: Target) -> None:
    if target.crops is None and target.tokens is None and target.grid is None:
        raise InvalidConfig("give target_crops, target_tokens or tiling")
    if target.crops is not None and target.tokens is not None:
        raise InvalidConfig("give target_crops or target_tokens, not both")
    if target.crops is not None and target.grid and target.grid.crops != target.crops:
        raise InvalidConfig(
            f"tiling {target.grid} has {target.grid.crops} crops, "
            f"but target_crops is {target.crops}",
            parameter="tiling",
            limit=target.crops,
            actual=target.grid.crops,
        )


@dataclass(frozen=True)
class _Request:
    image: Size
    config: CropConfig
    target: Target
    upscale: Upscale = "allow"
    may_stay: bool = True

    @cached_property
    def fits(self) -> Mapping[Grid, Size]:
        return fitting_sizes(self.image, self.config)

    def decide(self, mode: ResizeMode) -> ResizeDecision | None:
        """Return the best way to meet the target, or None."""
        # Keeping the image and keeping its aspect compete; padding is for images that can neither.
        groups: tuple[tuple[DecidedMode, ...], ...]
        groups = (("unchanged", "fit"), ("pad",)) if mode == "auto" else ((mode,),)
        for group in groups:
            # Of equals the first wins: an unchanged image before a fit of the same size.
            meeting = [option for tried in group for option in self.meeting(tried)]
            if meeting and self.target.tokens is not None:
                return max(meeting, key=lambda option: self._prompt_tokens(option.grid))
            if meeting:
                return max(meeting, key=lambda one: _closeness(one, self.image, self.config))
        return None

    def meeting(self, mode: DecidedMode) -> list[ResizeDecision]:
        """List the ways of ``mode`` to meet the target."""
        return [option for option in self.options(mode) if self._meets(option.grid)]

    def options(self, mode: DecidedMode) -> list[ResizeDecision]:
        """List everything that ``mode`` reaches of the counts asked for, each grid at most once."""
        crops = self.target.crops
        if mode in ("unchanged", "fit"):
            options = [
                ResizeDecision(mode, grid, size, Box.of(self.image), Box.of(size))
                for grid, size in self.fits.items()
                if crops in (None, grid.crops)
            ]
            if mode == "unchanged":  # the best fit of the image's own grid is the image
                options = [one for one in options if one.size == self.image and self.may_stay]
        else:
            counts = canvas_grids(self.config) if crops is None else (crops,)
            options = [option for count in counts for option in self.filling(mode, count)]
        return [option for option in options if self.upscale == "allow" or not option.upscaled]

    def filling(self, mode: DecidedMode, crops: int) -> list[ResizeDecision]:
        """Fill a canvas of ``crops`` crops: the forced grid's, else the nearest to the aspect."""
        canvases = canvas_grids(self.config).get(crops)
        if canvases is None:
            return []  # with very small crops, no canvas of some counts can be planned
        grid = self.target.grid or nearest_grid(crops, self.image, self.config)
        if grid not in canvases:
            return []
        return [_FILL[mode](self.image, canvases[grid], grid, self.upscale)]

    def _meets(self, grid: Grid) -> bool:
        target = self.target
        if target.grid is not None and grid != target.grid:
            return False
        if target.crops is not None and grid.crops != target.crops:
            return False
        return target.tokens is None or self._prompt_tokens(grid) <= target.tokens

    def _prompt_tokens(self, grid: Grid) -> int:
        return count_tokens(grid, self.config).prompt

    def alternatives_to(self, decision: ResizeDecision) -> tuple[ResizeDecision, ...]:
        """List the other ways to the count that was decided."""
        same = replace(self, target=Target(crops=decision.grid.crops, grid=self.target.grid))
        options = (option for mode in get_args(DecidedMode) for option in same.meeting(mode))
        return tuple(option for option in options if option != decision)

    def unreachable(self, mode: ResizeMode) -> UnreachableTarget:
        """Make the error that lists everything reachable, by mode."""
        reachable: dict[Grid, list[DecidedMode]] = {}
        any_count = replace(self, target=Target(grid=self.target.grid))
        for decided in get_args(DecidedMode)[1:]:
            for option in any_count.options(decided):
                reachable.setdefault(option.grid, []).append(decided)
        listed: list[dict[str, Any]] = [
            {
                "crops": grid.crops,
                "tiling": str(grid),
                "prompt_tokens": self._prompt_tokens(grid),
                "modes": reachable[grid],
            }
            for grid in sorted(reachable, key=lambda grid: (grid.crops, grid.rows))
        ]
        phrase, numbers = self._missed(listed)
        return UnreachableTarget(
            f"{phrase} is not reachable for a {self.image} image with mode={mode}, "
            f"upscale={self.upscale} and max_crops={self.config.max_crops}",
            **numbers,
            reachable=listed,
        )

    def _missed(self, listed: list[dict[str, Any]]) -> tuple[str, dict[str, int]]:
        """Name the target in words; with its number, and the limit if a limit is the reason."""
        target = self.target
        if target.tokens is not None:
            numbers = {"actual": target.tokens}
            if listed:
                numbers["limit"] = min(option["prompt_tokens"] for option in listed)
            return f"a plan of at most {target.tokens} prompt tokens", numbers
        crops = target.grid.crops if target.grid is not None else target.crops or 0
        numbers = {"actual": crops}
        if crops > self.config.max_crops:
            numbers["limit"] = self.config.max_crops
        return f"tiling {target.grid}" if target.grid else f"{crops} crops", numbers


def _pad(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """Place the whole image in the centre; with more black, if nothing may be enlarged."""
    width, height = canvas.width, max(1, round(image.height * canvas.width / image.width))
    if height > canvas.height:
        width, height = max(1, round(image.width * canvas.height / image.height)), canvas.height
    if upscale == "never" and (width > image.width or height > image.height):
        width, height = image.width, image.height
    x, y = (canvas.width - width) // 2, (canvas.height - height) // 2
    placed = Box(x, y, x + width, y + height)
    return ResizeDecision("pad", grid, canvas, Box.of(image), placed)


def _crop(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """Take the largest centred part of the image that has the canvas's aspect."""
    width, height = float(image.width), image.width * canvas.height / canvas.width
    if height > image.height:
        width, height = image.height * canvas.width / canvas.height, float(image.height)
    x, y = (image.width - width) / 2, (image.height - height) / 2
    return ResizeDecision("crop", grid, canvas, Box(x, y, x + width, y + height), Box.of(canvas))


def _stretch(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """Stretch the whole image to the whole canvas."""
    return ResizeDecision("stretch", grid, canvas, Box.of(image), Box.of(canvas))


_FILL: dict[str, Callable[[Size, Size, Grid, Upscale], ResizeDecision]] = {
    "pad": _pad,
    "crop": _crop,
    "stretch": _stretch,
}
