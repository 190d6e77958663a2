"""Make the tables of one examined image."""

from collections.abc import Callable, Iterator, Mapping

from app.core.control.headroom import Headroom, height_headroom, width_headroom
from app.core.control.methods import compare_methods
from app.core.control.resizing import DecidedMode, least_changes
from app.core.plan.overlap import Overlap
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import required_scales, select_by_limit
from app.core.plan.tokens import count_tokens
from app.report.experiment import Examined
from app.report.figures.averages import PredictLatency
from app.report.html.charts import NAMES
from app.report.html.elements import Cell, Embedded, Table, table_of
from app.report.words import NONE, box, count, ms, percent, times

REACHED_BY: Mapping[DecidedMode, str] = {
    "unchanged": "as it is",
    "fit": "aspect kept",
    "pad": "padding",
    "crop": "cutting",
    "stretch": "stretching",
}


def facts_table(one: Examined, latency: PredictLatency) -> Table:
    """List the facts of its plan."""
    return Table("Its plan", ("", ""), tuple(_facts(one.plan, latency)))


def _facts(plan: CropPlan, latency: PredictLatency) -> Iterator[tuple[str, str]]:
    grid, canvas, tokens = plan.grid, plan.canvas, plan.tokens
    yield "Size", f"{plan.image} px"
    crops = "1 grid crop" if grid.crops == 1 else f"{grid.crops} grid crops"
    yield "Tiling", f"{grid}: {crops}, {grid.total_crops} in all with the global one"
    yield (
        "Canvas",
        f"{canvas.width}x{canvas.height} px; the image on it "
        f"{canvas.scaled_width}x{canvas.scaled_height} px from {canvas.pad_left}, {canvas.pad_top}"
        f", scaled by {canvas.scale_x:.3f} across and {canvas.scale_y:.3f} down",
    )
    yield (
        "Prompt tokens",
        f"{tokens.prompt:,} = patch {tokens.patch:,} + column {tokens.column:,} + start "
        f"{tokens.start:,} + end {tokens.end:,}; {tokens.computed:,} patch tokens are computed "
        "before margins are dropped",
    )
    yield "Encoder", f"{plan.encoder_redundancy():.2f} patches run for each of content"
    yield "Width", _room(width_headroom(plan))
    yield "Height", _room(height_headroom(plan))
    predicted = latency(plan)
    if predicted.at(50) is not None:
        yield "Latency", f"p50 {ms(predicted.at(50))}, p95 {ms(predicted.at(95))}"


def _room(side: Headroom) -> str:
    down = "at will" if side.down is None else f"by {side.down:,} px"
    up = "at will" if side.up is None else f"by {side.up:,} px"
    return f"can shrink {down} and grow {up}, alone, before the tiling changes"


def overlap_table(plan: CropPlan) -> Table:
    """Compare the overlap of the whole canvas with the overlap of its content."""
    figures: list[tuple[str, Callable[[Overlap], str]]] = [
        ("Patches of all grid crops", lambda found: count(found.total_patches)),
        ("Distinct patches", lambda found: count(found.distinct_patches)),
        ("In more than one crop", lambda found: count(found.overlapped_patches)),
        ("Overlap ratio", lambda found: percent(found.overlap_ratio)),
        ("Redundancy ratio", lambda found: times(found.redundancy_ratio)),
        (
            "Crops a patch, where more than one",
            lambda found: (
                f"{found.average_overlapped_count:.2f}" if found.overlapped_patches else NONE
            ),
        ),
        ("Most crops a patch", lambda found: str(found.max_overlap_count)),
    ]
    whole, content = plan.overlap(), plan.content_overlap()
    return table_of(
        "Its overlap, in patches",
        (
            ("", lambda figure: figure[0]),
            ("Canvas>", lambda figure: figure[1](whole)),
            ("Content>", lambda figure: figure[1](content)),
        ),
        figures,
    )


def crops_table(one: Examined, pictures: Mapping[str, Embedded]) -> Table:
    """List the boundaries of every crop, on the canvas and on the original."""
    plan, side, canvas = one.plan, one.plan.config.crop_size_px, one.plan.global_canvas
    headings = ["Crop", "Row, column", "On the canvas, px", "On the original, px", "Padding>"]
    whole = f"0, 0 – {side}, {side} of its own", f"0, 0 – {plan.image.width}, {plan.image.height}"
    rows: list[tuple[Cell, ...]] = [
        ("global", "", *whole, percent(canvas.padding_ratio(canvas.box))),
        *(
            (
                str(crop.index),
                f"{crop.row}, {crop.col}",
                box(crop.canvas_box),
                box(crop.image_box),
                percent(crop.padding_ratio),
            )
            for crop in plan.crops()
        ),
    ]
    names = (one.files.global_crop, *one.files.grid_crops)
    if shown := [pictures[name] for name in names if name and name in pictures]:
        headings.insert(1, "")
        pairs = zip(rows, shown, strict=True)
        rows = [(index, picture, *cells) for (index, *cells), picture in pairs]
    return Table("Boundaries of its crops", tuple(headings), tuple(rows))


def alternatives_table(plan: CropPlan) -> Table:
    """List the results of each smaller ``max_crops``."""
    config = plan.config
    scales = required_scales(plan.image, config)
    return table_of(
        "Other max_crops",
        (
            ("max_crops>", lambda row: str(row[0])),
            ("Tiling", lambda row: str(row[1])),
            ("Grid crops>", lambda row: str(row[1].crops)),
            ("In all>", lambda row: str(row[1].total_crops)),
            ("Prompt tokens>", lambda row: count(count_tokens(row[1], config).prompt)),
        ),
        select_by_limit(scales, config.max_crops).items(),
        lambda row: row[0] == config.max_crops,
    )


def needed_sizes_table(plan: CropPlan) -> Table:
    """List the size needed for each number of crops."""
    return table_of(
        "The size it needs for each number of crops",
        (
            ("Grid crops>", lambda row: str(row.grid.crops)),
            ("In all>", lambda row: str(row.grid.total_crops)),
            ("Tiling", lambda row: str(row.grid)),
            ("Size, px", lambda row: str(row.size)),
            ("By", lambda row: REACHED_BY[row.mode]),
        ),
        least_changes(plan.image, plan.config),
    )


def methods_table(plan: CropPlan) -> Table:
    """List every setting of the four methods on this image alone."""
    return table_of(
        "The four methods on this image",
        (
            # Here a resize reaches a tiling; over a set it is a limit on the longer side.
            ("Method", lambda row: "resize" if row.method == "resize" else NAMES[row.method]),
            ("Setting", lambda row: row.setting),
            ("Tiling", lambda row: str(row.plan.grid)),
            ("Crops in all>", lambda row: str(row.plan.total_crops)),
            ("Prompt tokens>", lambda row: count(row.plan.tokens.prompt)),
            ("Work vs. now>", lambda row: percent(row.gflop_ratio, 0)),
            ("As trained", lambda row: "yes" if row.as_trained else "no"),
        ),
        compare_methods(plan).rows,
        lambda row: row.is_current,
    )
