"""Find the effects of each way to change the cost."""

from collections.abc import Iterator
from math import isclose

from app.core.control.methods import Method
from app.core.plan.config import CropConfig
from app.report.figures.cost_changes import SettingRow
from app.report.figures.set_statistics import SetStatistics
from app.report.words import Finding, count, images_of, percent


def half_the_work(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Name the largest ``max_crops`` that halves the encoder's work."""
    now = found.averages
    halved = [row for row in _cheap(found, "max_crops") if int(row.setting) < config.max_crops]
    if halved:
        best = max(halved, key=lambda row: int(row.setting))
        yield Finding(
            "methods",
            f"max_crops={best.setting} is the largest that at least halves the encoder's work, to "
            f"{percent(best.averages.gflop / now.gflop, 0)}: {count(best.averages.prompt_tokens)} "
            f"instead of {count(now.prompt_tokens)} prompt tokens an image, and "
            f"{percent(best.averages.kept_ratio, 0)} of the pixels retained instead of "
            f"{percent(now.kept_ratio, 0)}.",
            {
                "max_crops": int(best.setting),
                "gflop_ratio": best.averages.gflop / now.gflop,
                "mean_prompt_tokens": best.averages.prompt_tokens,
                "kept_ratio": best.averages.kept_ratio,
            },
        )


def longest_side(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Compare two ways to half of the work: a limit on the longer side, and ``max_crops``."""
    resized, limited = _cheap(found, "resize"), _cheap(found, "max_crops")
    if not resized or not limited:
        return
    best = max(resized, key=_retained)
    other = max(limited, key=lambda row: (_retained(row), int(row.setting)))
    if isclose(_retained(best), _retained(other), rel_tol=0.01):
        beside = f"as many as max_crops={other.setting}"
    else:
        word = "fewer" if _retained(best) < _retained(other) else "more"
        beside = f"{word} than max_crops={other.setting} ({percent(_retained(other))})"
    yield Finding(
        "methods",
        f"For at most half of the work, the limit on the longer side that retains most, of those "
        f"tried, is {best.setting}: {percent(_retained(best))} of the pixels, {beside}.",
        {"resize_kept_ratio": _retained(best), "max_crops_kept_ratio": _retained(other)},
    )


def margins(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Describe the same set without overlap margins."""
    rows = [row for row in found.settings if row.method == "overlap_margins"]
    without = next((row for row in rows if row.setting == "0,0" and not row.is_current), None)
    if without is not None and not without.dropped and without.averages != found.averages:
        yield Finding(
            "methods",
            f"Without overlap margins the same images would take {_cost(without, found)}, and "
            f"{images_of(without.changed, found.images)} would be tiled anew"
            f"{'' if without.as_trained else '; the weights were not trained so'}.",
            {
                "gflop_ratio": without.averages.gflop / found.averages.gflop,
                "prompt_tokens_ratio": without.averages.prompt_tokens
                / found.averages.prompt_tokens,
            },
        )


def crop_side(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Name the crop side of fewest tokens."""
    rows = [row for row in found.settings if row.method == "crop_size_px" and not row.dropped]
    least = min(rows, key=lambda row: (row.averages.prompt_tokens, not row.is_current))
    if least.is_current:
        if len(rows) > 1:
            yield Finding(
                "methods",
                f"Of the crop sides tried none takes fewer prompt tokens than {least.setting} px.",
                {"crop_size_px": int(least.setting)},
            )
        return
    yield Finding(
        "methods",
        f"Of the crop sides tried, {least.setting} px instead of {config.crop_size_px} takes the "
        f"fewest prompt tokens: {_cost(least, found)}, with {percent(_retained(least), 0)} of the "
        f"pixels retained{'' if least.as_trained else '; the weights were not trained so'}.",
        {"crop_size_px": int(least.setting), "kept_ratio": _retained(least)},
    )


def cliffs(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Count the images a few px from another tiling."""
    near = found.cliffs
    if not near.near:
        return
    text = (
        f"At most {near.within_px} px of one side are between "
        f"{images_of(near.near, found.images)} and another tiling."
    )
    if near.near_cheaper:
        text += (
            f" Making that side so little smaller saves prompt tokens for "
            f"{images_of(near.near_cheaper, found.images)}: {count(near.mean_tokens_saved)} each"
            f"{' on average' if near.near_cheaper > 1 else ''}."
        )
    yield Finding(
        "cliffs",
        text,
        {
            "near": near.near,
            "near_cheaper": near.near_cheaper,
            "mean_tokens_saved": near.mean_tokens_saved,
        },
    )


def _cheap(found: SetStatistics, method: Method) -> list[SettingRow]:
    """Return the settings of a method that halve the work for all images."""
    limit = found.averages.gflop / 2
    return [
        row
        for row in found.settings
        if row.method == method and row.averages.gflop <= limit and not row.dropped
    ]


def _retained(row: SettingRow) -> float:
    return row.averages.kept_ratio


def _cost(row: SettingRow, found: SetStatistics) -> str:
    tokens = row.averages.prompt_tokens / found.averages.prompt_tokens
    work = row.averages.gflop / found.averages.gflop
    return f"{percent(tokens, 0)} of the prompt tokens for {percent(work, 0)} of the work"
