"""Find facts about overlap, and compare them with published ranges."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.plan.config import CropConfig
from app.report.figures.overlap_ranges import Comparison, compare_with_published
from app.report.figures.set_statistics import SetStatistics
from app.report.words import UNITS, Finding, images_of, percent, span, times


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
