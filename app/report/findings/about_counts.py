"""Find facts about numbers of crops, tilings and overlap, with published ranges beside them."""

from collections.abc import Iterator, Sequence

from app.core.plan.config import CropConfig
from app.report.dataset.selection import group_by
from app.report.figures.overlap_ranges import Comparison, compare_with_published
from app.report.figures.set_statistics import CountRow, SetStatistics
from app.report.words import (
    UNITS,
    Finding,
    count,
    grid_crops,
    images_of,
    listed,
    percent,
    plural,
    runs,
    span,
    times,
)

_ENOUGH_IMAGES = 30
"""Report unused numbers of crops from this number of images on; few images never use all."""


def most_common(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Name the most common number of crops, or several on a tie, and the mean cost."""
    most = max(row.images for row in found.counts)
    first = [row for row in found.counts if row.images == most]
    mean = found.averages
    if found.images == 1:
        cost = f" It costs {count(mean.prompt_tokens)} prompt tokens."
    else:
        cost = (
            f" On average an image costs {mean.total_crops:.2f} crops in all and "
            f"{count(mean.prompt_tokens)} prompt tokens."
        )
    least, highest = found.counts[0].crops, found.counts[-1].crops
    limits = "" if least == highest else f" The range is {least} to {highest} grid crops."
    yield Finding(
        "counts",
        _most_common(first, found) + limits + cost,
        {
            "crops": first[0].crops,
            "total_crops": first[0].total_crops,
            "share": first[0].share,
            "mean_total_crops": mean.total_crops,
            "mean_prompt_tokens": mean.prompt_tokens,
        },
    )


def _most_common(first: Sequence[CountRow], found: SetStatistics) -> str:
    row = first[0]
    if len(first) > 1:
        grid = listed([str(one.crops) for one in first])
        in_all = listed([str(one.total_crops) for one in first])
        each = plural(row.images, "image")
        return f"Most common are {grid} grid crops ({in_all} in all), with {each} each."
    tilings = [one for one in found.tilings if one.grid.crops == row.crops and one.images]
    shown = listed([f"{one.grid} ({one.images:,})" for one in tilings])
    if len(found.counts) == 1:
        who = images_of(row.images, found.images)
        verb = "gets" if found.images == 1 else "get"
        return (
            f"{who[0].upper()}{who[1:]} {verb} {grid_crops(row.crops)} and the global one, "
            f"{row.total_crops} in all, tiled {shown}."
        )
    verb = "is" if row.crops == 1 else "are"
    return (
        f"Most common {verb} {grid_crops(row.crops)} and the global one, {row.total_crops} in all: "
        f"{images_of(row.images, found.images)}, tiled {shown}."
    )


def reduced(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Count the images that lose pixels, and the images at the limit."""
    at_limit = sum(row.images for row in found.counts if row.crops == config.max_crops)
    retained = found.averages.kept_ratio
    if found.reduced:
        verb = "is" if found.reduced == 1 else "are"
        who = images_of(found.reduced, found.images)
        text = (
            f"{who[0].upper()}{who[1:]} {verb} shown to the model smaller than "
            f"{'it is' if found.reduced == 1 else 'they are'}. Of an image's pixels "
            f"{percent(retained)} reach the grid crops{' on average' if found.images > 1 else ''}."
        )
    else:
        text = (
            "No pixel is lost to the tiling: every image is shown to the model at its own "
            "resolution or enlarged."
        )
    yield Finding(
        "counts",
        f"{text} The limit of {grid_crops(config.max_crops)} is reached by "
        f"{images_of(at_limit, found.images)}.",
        {"reduced": found.reduced, "kept_ratio": retained, "images_at_max_crops": at_limit},
    )


def unused(found: SetStatistics, config: CropConfig) -> Iterator[Finding]:
    """Name the numbers of crops without an image."""
    seen = {row.crops for row in found.counts}
    missing = [crops for crops in range(1, config.max_crops + 1) if crops not in seen]
    if found.images >= _ENOUGH_IMAGES and missing and len(seen) > 1:
        yield Finding(
            "counts",
            f"No image gets {listed(runs(missing), 'or')} grid crop{'s' * (missing != [1])}: a "
            "number of crops is rows × columns of the grid that fits an image best, so which "
            "numbers it reaches by scaling depends on its shape.",
            {"unused_counts": len(missing)},
        )


def unequal_tokens(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Compare tilings of one number of crops with different tokens."""
    used = group_by((row for row in found.tilings if row.images), lambda row: row.grid.crops)
    unequal = [rows for rows in used.values() if len({row.tokens.prompt for row in rows}) > 1]
    if unequal:
        rows = max(unequal, key=lambda rows: sum(row.images for row in rows))
        least = min(rows, key=lambda row: row.tokens.prompt)
        most = max(rows, key=lambda row: row.tokens.prompt)
        more = most.tokens.prompt / least.tokens.prompt - 1
        yield Finding(
            "tilings",
            f"As many crops are not the same cost: of {grid_crops(rows[0].grid.crops)}, "
            f"{least.grid} has {least.tokens.prompt:,} prompt tokens and {most.grid} "
            f"{most.tokens.prompt:,}, {percent(more)} more.",
            {
                "crops": rows[0].grid.crops,
                "least_prompt_tokens": least.tokens.prompt,
                "most_prompt_tokens": most.tokens.prompt,
            },
        )


def collapsed(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Count the images without a plan."""
    if found.collapsed:
        verb = "is" if found.collapsed == 1 else "are"
        yield Finding(
            "counts",
            f"{plural(found.collapsed, 'image')} {verb} too narrow for Molmo, as a side would be "
            "scaled to 0 px, and in no other figure.",
            {"collapsed": found.collapsed},
        )


def repeated(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Say how much of the images is in more than one grid crop."""
    mean, content = found.averages, found.content
    values = {
        "overlap_ratio": mean.overlap_ratio,
        "redundancy_ratio": mean.redundancy_ratio,
        "content_overlap_ratio": content.overlap_ratio,
        "content_redundancy_ratio": content.redundancy_ratio,
    }
    if not mean.overlap_ratio:
        yield Finding("overlap", "No patch is in more than one grid crop.", values)
        return
    text = (
        f"{percent(mean.overlap_ratio)} of the canvas' patches are in more than one grid crop and "
        f"a patch is in {mean.redundancy_ratio:.2f} of them"
        f"{', on average over the images' if found.images > 1 else ''}; of those that show some of "
        f"the image, {percent(content.overlap_ratio)} and {content.redundancy_ratio:.2f}."
    )
    if found.images > 1:
        most = max(found.tilings, key=lambda row: (row.images, -row.grid.crops))
        text += (
            f" {most.grid}, the tiling of {images_of(most.images, found.images)}, has "
            f"{percent(most.overlap.overlap_ratio)} and {most.overlap.redundancy_ratio:.2f}."
        )
    yield Finding("overlap", text, values)


def work(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Say how many patches the encoder runs for each patch of content."""
    content = found.content
    yield Finding(
        "overlap",
        f"With the global crop and the padding ({percent(content.padding_ratio)} of the canvas) "
        f"counted in, the encoder runs {times(content.encoder_redundancy)} the patches that show "
        "some of the image.",
        {
            "encoder_redundancy": content.encoder_redundancy,
            "padding_ratio": content.padding_ratio,
        },
    )


def published(found: SetStatistics, _: CropConfig) -> Iterator[Finding]:
    """Compare each published range with the images of the set."""
    compared = [one for one in compare_with_published(found.shapes) if one.seen is not None]
    agreeing = sum(one.verdict == "within" for one in compared)
    yield Finding(
        "published",
        f"Against what was published: {'; '.join(_against(one) for one in compared)}.",
        {"compared": len(compared), "within": agreeing},
    )


def _against(one: Comparison) -> str:
    claim, unit = one.claim, UNITS[one.claim.figure]
    name = f"the overlap of a {claim.shape}" if unit == "%" else "the redundancy"
    where = {"within": "within", "partly": "partly within", "outside": "outside of"}[one.verdict]
    return f"{name} is {span(one.seen, unit)}, {where} {span(claim.published, unit)}"
