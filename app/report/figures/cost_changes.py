"""Compute the changes of a set's cost: the settings of the four methods, and near cliffs.

A single image is resized to reach a tiling (``app.core.control.methods``). A set is resized, as
people do it, by a limit on the longer side.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from app.core.control.headroom import height_headroom, width_headroom
from app.core.control.methods import (
    NEEDS,
    Method,
    Needs,
    is_as_trained,
    margin_settings,
    side_settings,
)
from app.core.errors import CollapsedImage
from app.core.plan.config import MAX_CROPS_LIMIT, CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.report.figures.averages import Averages, Planned, PredictLatency, Tally, plan_each

MORE_CROPS = (24, 36)
"""Try these ``max_crops`` above the default; Molmo's evaluations use them."""

_MOST_LONGEST_SIDES = 12


@dataclass(frozen=True, slots=True)
class SettingRow:
    """Apply one setting of one method to the set; all else stays.

    Attributes:
        setting: the method's value in the notation of a request; of ``resize`` the limit in px.
        changed: images that get another tiling than now.
        as_trained: True if all images stay within the trained settings.
        dropped: images that collapse; the averages leave them out.
    """

    method: Method
    setting: str
    is_current: bool
    needs: Needs
    as_trained: bool
    changed: int
    dropped: int
    averages: Averages


def compare_settings(
    sizes: Mapping[Size, int],
    now: Sequence[Planned],
    config: CropConfig,
    latency: PredictLatency,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[SettingRow, ...]:
    """Compare every setting of every method, method by method, settings rising.

    Args:
        sizes: the number of images of each size.
        now: the images under ``config``.
        config: the present configuration.
        latency: predicts the latency of a plan.
        progress: called with the number of settings done and the number of all.
    """
    grids = {one.original: one.plan.grid for one in now}
    images = sum(one.images for one in now)
    rows = []
    settings = list(_settings(sizes, now, config))  # lazy: no plan is made yet
    for done, (method, setting, is_current, planned) in enumerate(settings, 1):
        tally, changed = Tally(), 0
        for one in planned:
            tally.add(one)
            if one.plan.grid != grids.get(one.original):
                changed += one.images
        if tally.images:
            rows.append(
                SettingRow(
                    method=method,
                    setting=setting,
                    is_current=is_current,
                    needs="nothing" if is_current else NEEDS[method],
                    as_trained=all(is_as_trained(plan) for plan in tally.plans()),
                    changed=changed,
                    dropped=images - tally.images,
                    averages=tally.averages(latency),
                )
            )
        progress(done, len(settings))
    return tuple(rows)


def _settings(
    sizes: Mapping[Size, int], now: Sequence[Planned], config: CropConfig
) -> Iterator[tuple[Method, str, bool, Iterable[Planned]]]:
    def planned_under(other: CropConfig) -> Iterable[Planned]:
        return now if other == config else plan_each(sizes, other)

    for count in _max_crops_settings(config):
        other = replace(config, max_crops=count)
        yield "max_crops", str(count), other == config, planned_under(other)
    for longest_px in _longest_sides(sizes, config):
        resized = plan_each(sizes, config, lambda size, px=longest_px: shrunk(size, px))  # type: ignore[misc]  # the default binds px
        yield "resize", f"{longest_px} px", False, resized
    yield "resize", "as it is", True, now
    for margins in _margin_settings(config):
        other = replace(config, overlap_margins=margins)
        yield "overlap_margins", f"{margins[0]},{margins[1]}", other == config, planned_under(other)
    for side_px in side_settings(config):
        other = replace(config, crop_size_px=side_px)
        yield "crop_size_px", str(side_px), other == config, planned_under(other)


def _max_crops_settings(config: CropConfig) -> list[int]:
    most = max(config.max_crops, config.family.default_max_crops)
    more = {count for count in MORE_CROPS if most < count <= MAX_CROPS_LIMIT}
    return sorted({*range(1, most + 1), *more})


def _longest_sides(sizes: Mapping[Size, int], config: CropConfig) -> list[int]:
    """Return limits on the longer side: from one crop upwards in steps of half a window."""
    longest_px = max(max(size.width, size.height) for size in sizes)
    step = max(1, config.window_px // 2)
    first = config.crop_size_px
    return list(range(first, min(longest_px, first + _MOST_LONGEST_SIDES * step), step))


def _margin_settings(config: CropConfig) -> list[tuple[int, int]]:
    """Return the present margins and those up to half a crop; wider ones double most work."""
    half = config.crop_patches // 2
    return [
        both
        for both in margin_settings(config)
        if sum(both) <= half or both == config.overlap_margins
    ]


def shrunk(size: Size, longest_px: int) -> Size:
    """Shrink a size to a limit on its longer side; the aspect stays, and sides are rounded."""
    longest = max(size.width, size.height)
    if longest <= longest_px:
        return size
    scale = longest_px / longest
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


NEAR_PX = 16
"""Call an image near a cliff within this distance in px of one side from another tiling."""


@dataclass(frozen=True, slots=True)
class Cliffs:
    """Count the images near a cliff.

    Attributes:
        within_px: the distance in px.
        near: images within that distance of another tiling.
        near_cheaper: images with a shorter prompt beyond the cliff, on the smaller side.
        mean_tokens_saved: prompt tokens saved by each of them; 0 without one.
    """

    within_px: int
    near: int
    near_cheaper: int
    mean_tokens_saved: float


def count_cliffs(planned: Sequence[Planned]) -> Cliffs:
    """Count the images near a cliff, and the tokens saved beyond it."""
    near = cheaper = saved = 0
    for one in planned:
        width, height = width_headroom(one.plan), height_headroom(one.plan)
        if not any(_is_near(px) for px in (width.down, width.up, height.down, height.up)):
            continue
        near += one.images
        tokens = _tokens_saved(one.plan, width.down, height.down)
        if tokens > 0:
            cheaper += one.images
            saved += one.images * tokens
    return Cliffs(NEAR_PX, near, cheaper, saved / cheaper if cheaper else 0.0)


def _is_near(px: int | None) -> TypeGuard[int]:
    return px is not None and px < NEAR_PX


def _tokens_saved(plan: CropPlan, narrower: int | None, lower: int | None) -> int:
    """Return the prompt tokens saved beyond a near cliff of a smaller side, at least 0."""
    smaller = []
    if _is_near(narrower):
        smaller.append(Size(plan.image.width - narrower - 1, plan.image.height))
    if _is_near(lower):
        smaller.append(Size(plan.image.width, plan.image.height - lower - 1))
    return max((plan.tokens.prompt - _prompt(size, plan) for size in smaller), default=0)


def _prompt(size: Size, plan: CropPlan) -> int:
    try:
        return make_plan(size, plan.config).tokens.prompt
    except CollapsedImage:
        return plan.tokens.prompt
