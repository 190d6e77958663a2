"""The four ways to change what images cost, each setting applied to a whole set.

For one image ``app.core.control.methods`` finds the size that reaches each tiling. A set is
resized as people do it, by a limit on the longer side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.core.control.methods import (
    NEEDS,
    Method,
    Needs,
    is_as_trained,
    margin_settings,
    side_settings,
)
from app.core.plan.config import MAX_CROPS_LIMIT, CropConfig
from app.core.plan.geometry import Size
from app.report.figures.averages import Averages, Planned, PredictLatency, Tally, plan_each

MORE_CROPS = (24, 36)
"""``max_crops`` above the default that are tried, too: Molmo's evaluations use them."""

_MOST_LONGEST_SIDES = 12


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting of one method, over the set; all else is as it is.

    ``setting`` is the method's own value as a request writes it; of ``resize`` the most px of the
    longer side.
    ``changed``: images that get another tiling than they have now. ``as_trained``: of all of them.
    ``dropped``: images that collapse and are missing in the averages.
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
    """Every setting of every method, method by method, settings rising.

    Args:
        sizes: how many images have each size.
        now: what they are under ``config``.
        config: the configuration in force.
        latency: predicts a plan's.
        progress: called with how many settings are done, and of how many.
    """
    grids = {one.original: one.plan.grid for one in now}
    images = sum(one.images for one in now)
    rows = []
    settings = list(_settings(sizes, now, config))  # nothing is planned yet
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
    """From one crop on, half a window apart, below the longest side there is."""
    longest_px = max(max(size.width, size.height) for size in sizes)
    step = max(1, config.window_px // 2)
    first = config.crop_size_px
    return list(range(first, min(longest_px, first + _MOST_LONGEST_SIDES * step), step))


def _margin_settings(config: CropConfig) -> list[tuple[int, int]]:
    """Up to half of a crop, and what is in force: beyond, most of the work is done twice."""
    half = config.crop_patches // 2
    return [
        both
        for both in margin_settings(config)
        if sum(both) <= half or both == config.overlap_margins
    ]


def shrunk(size: Size, longest_px: int) -> Size:
    """The size with no side longer than ``longest_px``, its aspect kept; sides are rounded."""
    longest = max(size.width, size.height)
    if longest <= longest_px:
        return size
    scale = longest_px / longest
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
