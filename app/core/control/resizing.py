"""Which size gives exactly the crops or tokens that are asked for.

Decides everything and touches no pixel: ``app.imaging`` carries a :class:`ResizeDecision` out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from app.core.control.fitting import canvas_grids, fitting_sizes
from app.core.errors import InvalidConfig, UnreachableTarget
from app.core.plan.canvas import canvas_size
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.tokens import count_tokens

ResizeMode = Literal["auto", "fit", "pad", "crop", "stretch"]
DecidedMode = Literal["unchanged", "fit", "pad", "crop", "stretch"]
Upscale = Literal["allow", "never"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: grid crops, prompt tokens (at most), or one grid. At least one is set."""

    crops: int | None = None
    tokens: int | None = None
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class ResizeDecision:
    """How to make an image that gets ``grid``.

    ``source`` (px of the original) is resized to fill ``placed`` (px of the output); what is left
    of ``size`` is black.
    """

    mode: DecidedMode
    grid: Grid
    size: Size
    source: Box
    placed: Box

    @property
    def scale_x(self) -> float:
        """Output px per px of the original."""
        return (self.placed.x1 - self.placed.x0) / (self.source.x1 - self.source.x0)

    @property
    def scale_y(self) -> float:
        return (self.placed.y1 - self.placed.y0) / (self.source.y1 - self.source.y0)

    @property
    def upscaled(self) -> bool:
        return self.scale_x > 1 or self.scale_y > 1


@dataclass(frozen=True, slots=True)
class Resizing:
    """The decision, and the other ways to reach the same target."""

    decision: ResizeDecision
    alternatives: tuple[ResizeDecision, ...]


def aspect_distortion(grid: Grid, aspect: Size, config: CropConfig) -> float:
    """How far the grid's canvas is from an aspect: the stretch of one side, at least 1."""
    canvas = canvas_size(grid, config)
    wide, high = canvas.width * aspect.height, canvas.height * aspect.width
    return max(wide, high) / min(wide, high)


def nearest_grid(crops: int, aspect: Size, config: CropConfig) -> Grid | None:
    """The factorisation of ``crops`` whose canvas is nearest to the aspect; fewer rows on a tie.

    None where no canvas of that count can be planned, as with very small crops.
    """
    return min(
        canvas_grids(config).get(crops, ()),
        key=lambda grid: aspect_distortion(grid, aspect, config),
        default=None,
    )


def decide_resize(
    image: Size,
    config: CropConfig,
    target: Target,
    *,
    mode: ResizeMode = "auto",
    upscale: Upscale = "allow",
    may_stay: bool = True,
) -> Resizing:
    """Choose how an image meets the target.

    ``auto`` leaves an image alone that already meets it (unless not ``may_stay``), else keeps the
    aspect if that can, else pads. For a token target it takes the most tokens not above it: in
    ``auto`` among the grids that keeping the aspect reaches (a strip of padding has more tokens
    and shows less), in the other modes among what the mode reaches. Pad, crop and stretch take,
    for each count, the grid nearest to the image's aspect.

    Raises:
        InvalidConfig: no target, or targets that contradict each other.
        UnreachableTarget: with everything that is reachable, by which mode.
    """
    _check(target)
    request = _Request(image, config, target, upscale, may_stay)
    decision = request.decide(mode)
    if decision is None:
        raise request.unreachable(mode)
    return Resizing(decision, request.alternatives_to(decision))


def least_change(image: Size, crops: int, config: CropConfig) -> ResizeDecision | None:
    """What ``auto`` decides for a count of crops; None if nothing reaches it."""
    return _Request(image, config, Target(crops=crops), "allow", may_stay=True).decide("auto")


def ways_to_resize(
    image: Size, config: CropConfig, mode: DecidedMode, *, upscale: Upscale = "allow"
) -> tuple[ResizeDecision, ...]:
    """Everything that ``mode`` reaches, each grid at most once. A fit may be the size it has."""
    return tuple(_Request(image, config, Target(), upscale, may_stay=True).options(mode))


def leave_alone(image: Size, grid: Grid) -> ResizeDecision:
    """The image as it is, where it gets ``grid``."""
    return ResizeDecision("unchanged", grid, image, _whole(image), _whole(image))


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


@dataclass(frozen=True, slots=True)
class _Request:
    image: Size
    config: CropConfig
    target: Target
    upscale: Upscale
    may_stay: bool

    def decide(self, mode: ResizeMode) -> ResizeDecision | None:
        """The best of what meets the target."""
        # Keeping the image and keeping its aspect compete; padding is for where neither can.
        groups: tuple[tuple[DecidedMode, ...], ...]
        groups = (("unchanged", "fit"), ("pad",)) if mode == "auto" else ((mode,),)
        for group in groups:
            meeting = [option for tried in group for option in self.meeting(tried)]
            if meeting:
                return max(meeting, key=self.rank)
        return None

    def meeting(self, mode: DecidedMode) -> list[ResizeDecision]:
        """What ``mode`` reaches that meets the target."""
        return [option for option in self.options(mode) if self._meets(option.grid)]

    def options(self, mode: DecidedMode) -> list[ResizeDecision]:
        """Everything ``mode`` reaches of the counts asked for, each grid at most once."""
        image, crops = self.image, self.target.crops
        if mode in ("unchanged", "fit"):
            fits = fitting_sizes(image, self.config)
            if mode == "unchanged":  # the best fit of the image's own grid is the image
                fits = {
                    grid: size for grid, size in fits.items() if size == image and self.may_stay
                }
            options = [
                ResizeDecision(mode, grid, size, _whole(image), _whole(size))
                for grid, size in fits.items()
                if crops in (None, grid.crops)
            ]
        else:
            options = [
                _FILL[mode](image, canvas_size(grid, self.config), grid, self.upscale)
                for grid in self._canvases()
            ]
        return [option for option in options if self.upscale == "allow" or not option.upscaled]

    def _canvases(self) -> list[Grid]:
        """The grids a canvas is made for: the one forced, else the nearest of every count asked."""
        canvases = canvas_grids(self.config)
        if (forced := self.target.grid) is not None:
            return [forced] if forced in canvases.get(forced.crops, ()) else []
        counts = canvases if self.target.crops is None else (self.target.crops,)
        nearest = (nearest_grid(crops, self.image, self.config) for crops in counts)
        return [grid for grid in nearest if grid is not None]

    def _meets(self, grid: Grid) -> bool:
        target = self.target
        if target.grid is not None and grid != target.grid:
            return False
        if target.crops is not None and grid.crops != target.crops:
            return False
        return target.tokens is None or self._prompt_tokens(grid) <= target.tokens

    def rank(self, option: ResizeDecision) -> tuple[float, ...]:
        """Most tokens, where tokens are asked for; then no change, no upscale, least change."""
        return (
            self._prompt_tokens(option.grid) if self.target.tokens is not None else 0,
            option.mode == "unchanged",
            not option.upscaled,
            -option.size.pixels if option.upscaled else option.size.pixels,
        )

    def _prompt_tokens(self, grid: Grid) -> int:
        return count_tokens(grid, self.config).prompt

    def alternatives_to(self, decision: ResizeDecision) -> tuple[ResizeDecision, ...]:
        """The other ways to the count that was decided."""
        same = replace(self, target=Target(crops=decision.grid.crops, grid=self.target.grid))
        options = (option for mode in get_args(DecidedMode) for option in same.meeting(mode))
        return tuple(option for option in options if option != decision)

    def unreachable(self, mode: ResizeMode) -> UnreachableTarget:
        """The error that lists what can be reached, by which mode."""
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
        """What was asked for in words; its number, and the limit where one was the reason."""
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


def _whole(size: Size) -> Box:
    return Box(0, 0, size.width, size.height)


def _pad(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """The whole image, centred; as it is, with more black, where nothing may be enlarged."""
    width, height = canvas.width, max(1, round(image.height * canvas.width / image.width))
    if height > canvas.height:
        width, height = max(1, round(image.width * canvas.height / image.height)), canvas.height
    if upscale == "never" and (width > image.width or height > image.height):
        width, height = image.width, image.height
    x, y = (canvas.width - width) // 2, (canvas.height - height) // 2
    placed = Box(x, y, x + width, y + height)
    return ResizeDecision("pad", grid, canvas, _whole(image), placed)


def _crop(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """The largest centred part of the image that has the canvas's aspect."""
    width, height = float(image.width), image.width * canvas.height / canvas.width
    if height > image.height:
        width, height = image.height * canvas.width / canvas.height, float(image.height)
    x, y = (image.width - width) / 2, (image.height - height) / 2
    return ResizeDecision("crop", grid, canvas, Box(x, y, x + width, y + height), _whole(canvas))


def _stretch(image: Size, canvas: Size, grid: Grid, upscale: Upscale) -> ResizeDecision:
    """The whole image on the whole canvas, its aspect lost."""
    return ResizeDecision("stretch", grid, canvas, _whole(image), _whole(canvas))


_FILL: dict[str, Callable[[Size, Size, Grid, Upscale], ResizeDecision]] = {
    "pad": _pad,
    "crop": _crop,
    "stretch": _stretch,
}
