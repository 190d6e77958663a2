"""Make the tables of a set from its statistics."""

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from app.core.control.methods import Method
from app.report.errors import Skipped
from app.report.experiment import Experiment
from app.report.figures.cost_changes import SettingRow
from app.report.figures.overlap_ranges import Comparison, ShapeRow
from app.report.figures.set_statistics import SetStatistics, TilingRow
from app.report.html.charts import NAMES
from app.report.html.elements import Cell, Table, table_of
from app.report.timing.components import CLOCK_COMPONENTS, MeasuredCount
from app.report.words import NONE, SHAPES, UNITS, count, ms, percent, plural, span, times


def counts_table(found: SetStatistics) -> Table:
    """List each number of crops in use."""

    def tilings(crops: int) -> str:
        used = (one for one in found.tilings if one.grid.crops == crops and one.images)
        return ", ".join(f"{one.grid} ({one.images:,})" for one in used)

    return table_of(
        "Images by number of crops",
        (
            ("Grid crops>", lambda row: str(row.crops)),
            ("In all>", lambda row: str(row.total_crops)),
            ("Images>", lambda row: count(row.images)),
            ("Share>", lambda row: percent(row.share)),
            ("Tilings", lambda row: tilings(row.crops)),
        ),
        found.counts,
    )


def tilings_table(tilings: Sequence[TilingRow]) -> Table:
    """List the tilings in use, with the cost and the content of their images."""
    return table_of(
        "Tilings that occur, rows x columns of grid crops",
        (
            ("Tiling", lambda row: str(row.grid)),
            ("Grid crops>", lambda row: str(row.grid.crops)),
            ("Images>", lambda row: count(row.images)),
            ("Share>", lambda row: percent(row.share)),
            ("Prompt tokens>", lambda row: count(row.tokens.prompt)),
            ("GFLOP>", lambda row: count(row.gflop)),
            ("Overlap>", lambda row: percent(row.overlap.overlap_ratio)),
            ("Overlap of content>", lambda row: percent(row.content_overlap_ratio)),
            ("Redundancy>", lambda row: times(row.overlap.redundancy_ratio)),
            ("Padding>", lambda row: percent(row.padding_ratio)),
        ),
        (row for row in tilings if row.images),
    )


def sizes_table(tilings: Sequence[TilingRow], *, has_latency: bool) -> Table:
    """List the size and the cost of each allowed tiling, used or not."""
    columns: list[tuple[str, Callable[[TilingRow], Cell]]] = [
        ("Grid crops>", lambda row: str(row.grid.crops)),
        ("In all>", lambda row: str(row.grid.total_crops)),
        ("Tiling", lambda row: str(row.grid)),
        ("Size, px", lambda row: str(row.size)),
        ("Patch tokens>", lambda row: count(row.tokens.patch)),
        ("Prompt tokens>", lambda row: count(row.tokens.prompt)),
        ("GFLOP>", lambda row: count(row.gflop)),
        ("Overlap>", lambda row: percent(row.overlap.overlap_ratio)),
        ("Redundancy>", lambda row: times(row.overlap.redundancy_ratio)),
        ("Most crops a patch>", lambda row: str(row.overlap.max_overlap_count)),
        ("Images here>", lambda row: count(row.images)),
    ]
    if has_latency:
        columns += [
            ("Latency p50>", lambda row: ms(row.latency.at(50))),
            ("p95>", lambda row: ms(row.latency.at(95))),
        ]
    return table_of("Every tiling that is allowed", columns, tilings)


def shapes_table(shapes: Sequence[ShapeRow]) -> Table:
    """List the ranges of overlap by the shape of the grid."""
    return table_of(
        "Overlap by the shape of the tiling",
        (
            ("Shape", lambda row: row.shape),
            ("Tilings allowed>", lambda row: str(row.tilings)),
            ("Their overlap>", lambda row: span(row.overlap_ratio, "%")),
            ("Their redundancy>", lambda row: span(row.redundancy_ratio, "×")),
            ("Images here>", lambda row: count(row.images)),
            ("Their overlap, content>", lambda row: span(row.seen_overlap_ratio, "%")),
            ("Their redundancy, content>", lambda row: span(row.seen_redundancy_ratio, "×")),
        ),
        shapes,
    )


def published_table(compared: Sequence[Comparison]) -> Table:
    """List the published ranges beside the findings."""
    figures = {"overlap_ratio": "Overlap ratio", "redundancy_ratio": "Redundancy"}
    verdicts = {
        "within": "within the published range",
        "partly": "partly within it",
        "outside": "outside of it",
        "no image": "not there: no image is tiled so",
    }
    return table_of(
        "Published figures beside those found here",
        (
            ("Figure", lambda one: f"{figures[one.claim.figure]} of {SHAPES[one.claim.shape]}"),
            ("Published>", lambda one: span(one.claim.published, UNITS[one.claim.figure])),
            ("All tilings>", lambda one: span(one.allowed, UNITS[one.claim.figure])),
            ("Images here, content>", lambda one: span(one.seen, UNITS[one.claim.figure])),
            ("The images' are", lambda one: verdicts[one.verdict]),
        ),
        compared,
    )


def methods_tables(found: SetStatistics) -> list[Table]:
    """Make one table a method."""
    return [
        _method_table(method, [row for row in found.settings if row.method == method], found)
        for method in get_args(Method)
    ]


def _method_table(method: Method, rows: Sequence[SettingRow], found: SetStatistics) -> Table:
    now = found.averages
    columns: list[tuple[str, Callable[[SettingRow], Cell]]] = [
        ("Setting", lambda row: f"{row.setting} (now)" if row.is_current else row.setting),
        ("Crops in all>", lambda row: f"{row.averages.total_crops:.2f}"),
        ("Prompt tokens>", lambda row: count(row.averages.prompt_tokens)),
        ("vs. now>", lambda row: percent(row.averages.prompt_tokens / now.prompt_tokens, 0)),
        ("Work vs. now>", lambda row: percent(row.averages.gflop / now.gflop, 0)),
        ("Pixels retained>", lambda row: percent(row.averages.kept_ratio)),
        ("Overlap>", lambda row: percent(row.averages.overlap_ratio)),
        ("Tiled anew>", lambda row: count(row.changed)),
        ("As trained", lambda row: "yes" if row.as_trained else "no"),
    ]
    if any(row.averages.latency_ms is not None for row in rows):
        columns.append(("Latency p50>", lambda row: ms(row.averages.latency_ms)))
    return table_of(NAMES[method], columns, rows, lambda row: row.is_current)


def measured_table(measured: Sequence[MeasuredCount]) -> Table:
    """List the medians of a timing file."""
    known = [part for part in CLOCK_COMPONENTS if any(part in row.median_ms for row in measured)]

    def median(row: MeasuredCount, part: str) -> str:
        return f"{row.median_ms[part]:,.1f}" if part in row.median_ms else NONE

    return Table(
        "Median over images of each component's median, ms",
        ("Crops in all>", "Images>", *(f"{part}>" for part in known)),
        tuple(
            (str(row.total_crops), count(row.images), *(median(row, part) for part in known))
            for row in measured
        ),
    )


def analysed_table(experiment: Experiment) -> Table:
    """List the set and the effective configuration."""
    return Table("What was analysed", ("", ""), tuple(_analysed(experiment)))


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


def skipped_table(skipped: Sequence[Skipped]) -> Table:
    """List the skipped images with their reasons."""
    return table_of(
        "Skipped", (("Image", lambda one: one.name), ("Why", lambda one: one.reason)), skipped
    )
