"""Make the tables of a set from its statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from app.core.control.methods import Method
from app.report.experiment import Experiment
from app.report.figures.cost_changes import SettingRow
from app.report.figures.overlap_ranges import Comparison, ShapeRow
from app.report.figures.set_statistics import SetStatistics, TilingRow
from app.report.html.elements import Cell, Row, Table
from app.report.html.methods_chart import NAMES
from app.report.timing.components import CLOCK_COMPONENTS, MeasuredCount
from app.report.words import (
    NONE,
    count,
    ms,
    percent,
    percent_range,
    plural,
    times,
    times_range,
)


def counts_table(found: SetStatistics) -> Table:
    """List each number of crops in use."""
    return Table.of(
        "Images by number of crops",
        ("Grid crops>", "In all>", "Images>", "Share>", "Tilings"),
        (
            (
                str(row.crops),
                str(row.total_crops),
                count(row.images),
                percent(row.share),
                ", ".join(
                    f"{one.grid} ({one.images:,})"
                    for one in found.tilings
                    if one.grid.crops == row.crops and one.images
                ),
            )
            for row in found.counts
        ),
    )


def tilings_table(tilings: Sequence[TilingRow]) -> Table:
    """List the tilings in use, with the cost and the content of their images."""
    return Table.of(
        "Tilings that occur, rows x columns of grid crops",
        (
            "Tiling",
            "Grid crops>",
            "Images>",
            "Share>",
            "Prompt tokens>",
            "GFLOP>",
            "Overlap>",
            "Overlap of content>",
            "Redundancy>",
            "Padding>",
        ),
        (
            (
                str(row.grid),
                str(row.grid.crops),
                count(row.images),
                percent(row.share),
                count(row.tokens.prompt),
                count(row.gflop),
                percent(row.overlap.overlap_ratio),
                NONE if row.content_overlap_ratio is None else percent(row.content_overlap_ratio),
                times(row.overlap.redundancy_ratio),
                NONE if row.padding_ratio is None else percent(row.padding_ratio),
            )
            for row in tilings
            if row.images
        ),
    )


def sizes_table(tilings: Sequence[TilingRow], *, has_latency: bool) -> Table:
    """List the size and the cost of each allowed tiling, used or not."""

    def cells(row: TilingRow) -> Iterator[Cell]:
        yield from (str(row.grid.crops), str(row.grid.total_crops), str(row.grid), str(row.size))
        yield from (count(row.tokens.patch), count(row.tokens.prompt), count(row.gflop))
        yield from (percent(row.overlap.overlap_ratio), times(row.overlap.redundancy_ratio))
        yield str(row.overlap.max_overlap_count)
        yield count(row.images)
        if has_latency:
            yield ms(row.latency.at(50))
            yield ms(row.latency.at(95))

    headings = (
        ("Grid crops>", "In all>", "Tiling", "Size, px")
        + ("Patch tokens>", "Prompt tokens>", "GFLOP>")
        + ("Overlap>", "Redundancy>", "Most crops a patch>", "Images here>")
        + (("Latency p50>", "p95>") if has_latency else ())
    )
    return Table.of(
        "Every tiling that is allowed", headings, (tuple(cells(row)) for row in tilings)
    )


def shapes_table(shapes: Sequence[ShapeRow]) -> Table:
    """List the ranges of overlap by the shape of the grid."""
    return Table.of(
        "Overlap by the shape of the tiling",
        (
            "Shape",
            "Tilings allowed>",
            "Their overlap>",
            "Their redundancy>",
            "Images here>",
            "Their overlap, content>",
            "Their redundancy, content>",
        ),
        (
            (
                row.shape,
                str(row.tilings),
                percent_range(row.overlap_ratio),
                times_range(row.redundancy_ratio),
                count(row.images),
                percent_range(row.seen_overlap_ratio),
                times_range(row.seen_redundancy_ratio),
            )
            for row in shapes
        ),
    )


def published_table(compared: Sequence[Comparison]) -> Table:
    """List the published ranges beside the findings."""
    return Table.of(
        "Published figures beside those found here",
        ("Figure", "Published>", "All tilings>", "Images here, content>", "The images' are"),
        (_published(one) for one in compared),
    )


def _published(one: Comparison) -> tuple[str, ...]:
    is_ratio = one.claim.figure == "overlap_ratio"
    shown = percent_range if is_ratio else times_range
    of = {None: "all tilings", "row": "a row", "square": "a square"}[one.claim.shape]
    verdict = {
        "within": "within the published range",
        "partly": "partly within it",
        "outside": "outside of it",
        "no image": "not there: no image is tiled so",
    }[one.verdict]
    name = f"{'Overlap ratio' if is_ratio else 'Redundancy'} of {of}"
    return name, shown(one.claim.published), shown(one.allowed), shown(one.seen), verdict


def methods_tables(found: SetStatistics) -> list[Table]:
    """Make one table a method."""
    return [
        _method_table(method, [row for row in found.settings if row.method == method], found)
        for method in get_args(Method)
    ]


def _method_table(method: Method, rows: Sequence[SettingRow], found: SetStatistics) -> Table:
    now = found.averages
    has_latency = any(row.averages.latency_ms is not None for row in rows)

    def cells(row: SettingRow) -> Iterator[Cell]:
        mean = row.averages
        yield f"{row.setting} (now)" if row.is_current else row.setting
        yield f"{mean.total_crops:.2f}"
        yield count(mean.prompt_tokens)
        yield percent(mean.prompt_tokens / now.prompt_tokens, 0)
        yield percent(mean.gflop / now.gflop, 0)
        yield percent(mean.kept_ratio)
        yield percent(mean.overlap_ratio)
        yield count(row.changed)
        yield "yes" if row.as_trained else "no"
        if has_latency:
            yield ms(mean.latency_ms)

    headings = (
        ("Setting", "Crops in all>", "Prompt tokens>", "vs. now>", "Work vs. now>")
        + ("Pixels retained>", "Overlap>", "Tiled anew>", "As trained")
        + (("Latency p50>",) if has_latency else ())
    )
    return Table.of(
        NAMES[method], headings, (Row(tuple(cells(row)), row.is_current) for row in rows)
    )


def measured_table(measured: Sequence[MeasuredCount]) -> Table:
    """List the medians of a timing file."""
    known = [part for part in CLOCK_COMPONENTS if any(part in row.median_ms for row in measured)]
    return Table.of(
        "Median over images of each component's median, ms",
        ("Crops in all>", "Images>", *(f"{part}>" for part in known)),
        (
            (
                str(row.total_crops),
                count(row.images),
                *(
                    f"{row.median_ms[part]:,.1f}" if part in row.median_ms else NONE
                    for part in known
                ),
            )
            for row in measured
        ),
    )


def analysed_table(experiment: Experiment) -> Table:
    """List the set and the effective configuration."""
    return Table.of("What was analysed", ("", ""), _analysed(experiment))


def _analysed(experiment: Experiment) -> Iterator[tuple[str, str]]:
    dataset, config, found = experiment.dataset, experiment.config, experiment.statistics
    kind = "a folder" if dataset.kind == "folder" else "annotations"
    split = f", split {dataset.split}" if dataset.split else ""
    yield "Set", f"{dataset.name}: {kind}{split}"
    with_files = sum(image.path is not None for image in dataset.images)
    yield (
        "Images",
        f"{found.images:,} planned, of {plural(found.distinct_sizes, 'distinct size')}; "
        f"{f'files of {with_files:,}' if with_files else 'their sizes, no files'}; "
        f"{len(experiment.skipped):,} skipped",
    )
    yield "Model", config.family.name
    left, right = config.overlap_margins
    yield "max_crops", f"{config.max_crops}, counting grid crops; {config.max_crops + 1} in all"
    yield (
        "Crops",
        f"{config.crop_size_px} px, {config.crop_patches}x{config.crop_patches} patches of "
        f"{config.patch_size_px} px, at steps of {config.window_px} px",
    )
    yield "Overlap margins", f"{left} and {right} patches: neighbours share {config.margin_px} px"


def skipped_table(experiment: Experiment) -> Table:
    """List the skipped images with their reasons."""
    return Table.of(
        "Skipped",
        ("Image", "Why"),
        ((one.name, one.reason) for one in experiment.skipped),
    )
