"""What the figures say, in sentences. Every number in them is computed from the set at hand.

A finding is left out where the set has nothing to say about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.core.config import CropConfig
from app.report.set_statistics import SetStatistics, TilingRow
from app.report.settings_compared import SettingRow

Number = int | float | str

ENOUGH_IMAGES = 30
"""From so many on it is worth saying what does not occur."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence or two, and the numbers in it by name. ``about`` names the section it opens."""

    about: str
    text: str
    values: Mapping[str, Number]


def findings(found: SetStatistics, config: CropConfig) -> tuple[Finding, ...]:
    """All that can be said of a set, most important first."""
    makers: Sequence[Callable[[SetStatistics, CropConfig], Iterator[Finding]]] = (
        _most_common_count,
        _at_the_limit,
        _unused_counts,
        _overlap,
        _work_done_twice,
        _same_crops_other_tokens,
        _half_the_work,
        _longest_side,
        _cliffs,
        _collapsed,
    )
    return tuple(one for make in makers for one in make(found, config))


def _most_common_count(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    most = max(found.counts, key=lambda row: row.images)
    fewest, highest = found.counts[0], found.counts[-1]
    tilings = [row for row in found.tilings if row.grid.crops == most.crops and row.images]
    shown = _list([f"{row.grid} ({row.images:,})" for row in tilings])
    span = (
        "" if fewest is highest else f"; the range is {fewest.crops} to {highest.crops} grid crops"
    )
    yield Finding(
        "counts",
        f"Most common are {_crops(most.crops)} and the global one, {most.total_crops} in all: "
        f"{_of(most.images, found.images)}, tiled {shown}. On average an image costs "
        f"{found.averages.total_crops:.2f} crops in all and {found.averages.prompt_tokens:.0f} "
        f"prompt tokens{span}.",
        {
            "crops": most.crops,
            "total_crops": most.total_crops,
            "share": most.share,
            "mean_total_crops": found.averages.total_crops,
            "mean_prompt_tokens": found.averages.prompt_tokens,
        },
    )


def _at_the_limit(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Images whose detail max_crops cuts: their pixels do not all reach the grid crops."""
    kept = found.averages.kept_ratio
    at_limit = sum(row.images for row in found.counts if row.crops == config.max_crops)
    if kept > 0.9995:
        yield Finding(
            "counts",
            f"No pixel is lost to max_crops={config.max_crops}: every image is shown to the model "
            "at its own resolution or enlarged. All of these crops are used by "
            f"{_of(at_limit, found.images)}.",
            {"kept_ratio": kept, "images_at_max_crops": at_limit},
        )
        return
    yield Finding(
        "counts",
        f"max_crops={config.max_crops} costs detail: of an image's pixels {kept:.0%} reach the "
        "grid crops on average, as larger images are reduced to fit. All of these crops are used "
        f"by {_of(at_limit, found.images)}.",
        {"kept_ratio": kept, "images_at_max_crops": at_limit},
    )


def _unused_counts(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Of a few images nobody expects every count."""
    if found.images < ENOUGH_IMAGES:
        return
    seen = {row.crops for row in found.counts}
    unused = [crops for crops in range(1, config.max_crops + 1) if crops not in seen]
    if unused and len(seen) > 1:
        yield Finding(
            "counts",
            f"{_list([str(crops) for crops in unused])} grid crops occur for no image: a number of "
            "crops is rows × columns of the grid that the shape of the image asks for, so not "
            "every number is reached by scaling.",
            {"unused_counts": len(unused)},
        )


def _overlap(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    mean, content = found.averages, found.content
    busiest = max(found.tilings, key=lambda row: (row.images, -row.grid.crops))
    yield Finding(
        "overlap",
        f"On average {mean.overlap_ratio:.1%} of a canvas' patches lie in more than one crop and a "
        f"patch is encoded {mean.redundancy_ratio:.2f} times ({content.overlap_ratio:.1%} and "
        f"{content.redundancy_ratio:.2f} of the patches that show some of the image). The most "
        f"common tiling, {busiest.grid}, has {busiest.overlap.overlap_ratio:.1%} and "
        f"{busiest.overlap.redundancy_ratio:.2f}.",
        {
            "overlap_ratio": mean.overlap_ratio,
            "redundancy_ratio": mean.redundancy_ratio,
            "content_overlap_ratio": content.overlap_ratio,
            "content_redundancy_ratio": content.redundancy_ratio,
        },
    )


def _work_done_twice(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    content = found.content
    yield Finding(
        "overlap",
        f"With the global crop and the padding ({content.padding_ratio:.1%} of the canvas) counted "
        f"in, the encoder runs {content.encoder_redundancy:.2f} patches for each one that shows "
        "some of the image.",
        {
            "encoder_redundancy": content.encoder_redundancy,
            "padding_ratio": content.padding_ratio,
        },
    )


def _same_crops_other_tokens(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Tilings that occur, of as many crops, but of other tokens: crops alone are no cost."""
    by_crops: dict[int, list[TilingRow]] = {}
    for row in found.tilings:
        if row.images:
            by_crops.setdefault(row.grid.crops, []).append(row)
    unequal = [rows for rows in by_crops.values() if _dearest(rows) is not _cheapest(rows)]
    if unequal:
        rows = max(unequal, key=lambda rows: sum(row.images for row in rows))
        yield _unequal(rows[0].grid.crops, _cheapest(rows), _dearest(rows))


def _cheapest(rows: Sequence[TilingRow]) -> TilingRow:
    return min(rows, key=lambda row: row.tokens.prompt)


def _dearest(rows: Sequence[TilingRow]) -> TilingRow:
    return max(rows, key=lambda row: row.tokens.prompt)


def _unequal(crops: int, least: TilingRow, most: TilingRow) -> Finding:
    more = most.tokens.prompt / least.tokens.prompt - 1
    return Finding(
        "tilings",
        f"As many crops are not the same cost: of {_crops(crops)}, {least.grid} has "
        f"{least.tokens.prompt:,} prompt tokens and {most.grid} {most.tokens.prompt:,}, "
        f"{more:.1%} more.",
        {
            "crops": crops,
            "least_prompt_tokens": least.tokens.prompt,
            "most_prompt_tokens": most.tokens.prompt,
        },
    )


def _half_the_work(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """The largest max_crops that halves the encoder's work."""
    rows = [row for row in found.settings if row.method == "max_crops"]
    now = found.averages.gflop
    halved = [
        row for row in rows if int(row.setting) < config.max_crops and row.averages.gflop <= now / 2
    ]
    if halved:
        best = halved[-1]
        yield Finding(
            "methods",
            f"max_crops={best.setting} does with {best.averages.gflop / now:.0%} of the encoder's "
            f"work and {best.averages.prompt_tokens:.0f} instead of "
            f"{found.averages.prompt_tokens:.0f} prompt tokens, and shows "
            f"{best.averages.kept_ratio:.0%} of the pixels at the grid crops' resolution "
            f"(now {found.averages.kept_ratio:.0%}).",
            {
                "max_crops": int(best.setting),
                "gflop_ratio": best.averages.gflop / now,
                "mean_prompt_tokens": best.averages.prompt_tokens,
                "kept_ratio": best.averages.kept_ratio,
            },
        )


def _longest_side(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """The limit on the longer side that keeps most pixels at the cost of the finding above."""
    limit = found.averages.gflop / 2
    resized = [row for row in found.settings if row.method == "resize" and not row.is_current]
    cheap = [row for row in resized if row.averages.gflop <= limit]
    rival = [
        row for row in found.settings if row.method == "max_crops" and row.averages.gflop <= limit
    ]
    if not cheap or not rival:
        return
    best, other = max(cheap, key=_kept), max(rival, key=_kept)
    word = "less" if best.averages.kept_ratio < other.averages.kept_ratio else "no less"
    yield Finding(
        "methods",
        f"For at most half of the work, limiting the longer side to {best.setting} keeps "
        f"{best.averages.kept_ratio:.0%} of the pixels, {word} than max_crops={other.setting} "
        f"({other.averages.kept_ratio:.0%}).",
        {
            "resize_kept_ratio": best.averages.kept_ratio,
            "max_crops_kept_ratio": other.averages.kept_ratio,
        },
    )


def _kept(row: SettingRow) -> float:
    return row.averages.kept_ratio


def _cliffs(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    cliffs = found.cliffs
    if not cliffs.near:
        return
    text = (
        f"Another tiling is within {cliffs.within_px} px of one side for "
        f"{_of(cliffs.near, found.images)}."
    )
    if cliffs.near_cheaper:
        text += (
            f" Making that side smaller by so little saves {cliffs.near_cheaper:,} of them prompt "
            f"tokens, {cliffs.mean_tokens_saved:.0f} each on average."
        )
    yield Finding(
        "cliffs",
        text,
        {
            "near": cliffs.near,
            "near_cheaper": cliffs.near_cheaper,
            "mean_tokens_saved": cliffs.mean_tokens_saved,
        },
    )


def _collapsed(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    if found.collapsed:
        yield Finding(
            "counts",
            "Too narrow for Molmo, as a side would be scaled to 0 px, and in no other figure: "
            f"{found.collapsed:,} of {found.images + found.collapsed:,} images.",
            {"collapsed": found.collapsed},
        )


def _of(images: int, total: int) -> str:
    if images == total:
        return f"all {total:,} images" if total > 1 else "the one image"
    return f"{images:,} of {total:,} images ({images / total:.1%})" if images else "no image"


def _crops(crops: int) -> str:
    return "1 grid crop" if crops == 1 else f"{crops} grid crops"


def _list(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
