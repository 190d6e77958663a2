"""Print plans as tables, and define the parts of all tables."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from app.schemas.latency import LatencyAnswer
from app.schemas.plan import (
    CanvasAnswer,
    ConfigAnswer,
    ImageAnswer,
    PlanAnswer,
    SideHeadroom,
    TilingAnswer,
    TokensAnswer,
)

T = TypeVar("T")
Cell = str | Text
Columns = Iterator[tuple[str, Callable[[T], Cell]]]
"""Yield headings with the contents of their cells, from a value of each row."""
Fact = tuple[str, RenderableType]


def table_of(
    title: str,
    shown: Iterable[tuple[str, Callable[[T], Cell]]],
    rows: Iterable[T],
    style: Callable[[T], str | None] = lambda _: None,
) -> Table:
    """Make a table with a row a value, from headings with the contents of their cells.

    A ``>`` at the end of a heading aligns its column to the right.
    """
    headings, cells = zip(*shown, strict=True)
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
    )
    for heading in headings:
        right = heading.endswith(">")
        table.add_column(
            heading.removesuffix(">"), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(cell(row) for cell in cells), style=style(row))
    return table


def or_dash(value: float | None, form: str) -> str:
    """Format a number; a missing one is a dash."""
    return "–" if value is None else format(value, form)


def facts(rows: list[Fact]) -> Table:
    """List names and values below one another."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table


def heading(model: str, config: ConfigAnswer) -> Text:
    """Name the family and its effective configuration."""
    left, right = config.overlap_margins
    told = f"  max crops {config.max_crops}, margins {left},{right}, crops {config.crop_size_px} px"
    return Text.assemble((model, "bold"), (told, "dim"))


def print_plan(out: Console, answer: PlanAnswer) -> None:
    """Print a plan and its alternatives."""
    out.print(heading(answer.model, answer.config))
    out.print()
    out.print(facts(plan_facts(answer)))
    out.print()
    side_by_side = out.is_terminal and out.width >= 100
    tables = [sizes_table(answer), max_crops_table(answer)]
    if side_by_side:
        both = Table.grid(padding=(0, 6))
        both.add_row(*tables)
        out.print(both)
    else:
        out.print(tables[0])
        out.print()
        out.print(tables[1])


def plan_facts(answer: PlanAnswer) -> list[Fact]:
    """List the facts of a plan, one a line."""
    overlap = answer.overlap
    return [
        ("Image", _image(answer.image)),
        *(("", Text(note, style="yellow")) for note in answer.image.notes),
        ("Tiling", tiling(answer.tiling)),
        ("Canvas", _canvas(answer.canvas)),
        ("Prompt tokens", tokens(answer.tokens)),
        (
            "Overlap",
            f"{overlap.overlap_ratio:.1%} of patches are in more than one crop, "
            f"{overlap.redundancy_ratio:.2f} crops a patch; the encoder runs "
            f"{overlap.encoder_redundancy:.2f} patches for each of content",
        ),
        (
            "Headroom",
            f"width {_side(answer.headroom.width)}, height {_side(answer.headroom.height)}; "
            "further, each alone, the tiling changes",
        ),
        ("Latency", latency(answer.latency)),
    ]


def _image(image: ImageAnswer) -> str:
    size = f"{image.width}x{image.height} px"
    return size if image.bytes is None else f"{size}, {image.format}, {image.bytes:,} bytes"


def tiling(answer: TilingAnswer) -> Text:
    """Spell rows and columns out; sizes put the width first."""
    rows = f"{answer.rows} row{'s' if answer.rows > 1 else ''}"
    cols = f"{answer.cols} column{'s' if answer.cols > 1 else ''}"
    crops = f"{answer.crops} crop{'s' if answer.crops > 1 else ''}"
    return Text.assemble(
        (f"{answer.rows}x{answer.cols}", "bold"),
        f"  {rows}, {cols}: ",
        (crops, "bold"),
        f", {answer.total_crops} with the global one",
    )


def _canvas(canvas: CanvasAnswer) -> str:
    scale = scale_text(canvas.scale_x, canvas.scale_y)
    return (
        f"{canvas.width}x{canvas.height} px, the image on it {canvas.scaled_width}x"
        f"{canvas.scaled_height} ({scale}), padding {canvas.pad_left} left, {canvas.pad_top} top"
    )


def scale_text(x: float, y: float) -> str:
    """Write one factor, or two factors that differ by more than the rounding of a side."""
    return f"×{x:.3f}" if abs(x / y - 1) < 0.01 else f"×{x:.3f} wide, ×{y:.3f} high"


def tokens(answer: TokensAnswer) -> Text:
    """Write the sum of the tokens and its parts."""
    parts = f"patch {answer.patch:,} + column {answer.column} + start {answer.start}"
    return Text.assemble(
        (f"{answer.prompt:,}", "bold"),
        f" = {parts} + end {answer.end}; {answer.computed:,} patch tokens are computed",
    )


def _side(side: SideHeadroom) -> str:
    if side.down is None and side.up is None:
        return "any"
    down = "any less" if side.down is None else f"-{side.down}"
    up = "any more" if side.up is None else f"+{side.up} px"
    return f"{down} to {up}"


def latency(answer: LatencyAnswer) -> Text:
    """Write the latency with its conditions, or the reason for none."""
    vision, stages = answer.vision_ms, answer.stages_ms
    if vision is None:
        return Text.assemble(("none", "bold"), f": {answer.reason}")
    per_token = "" if answer.per_token_us is None else f", {answer.per_token_us:.1f} µs a token"
    beside = {
        "decode": stages.decode,
        "preprocess": stages.preprocess,
        "queue": stages.queue,
        "transfer": stages.transfer,
        "ViT": stages.vit,
        "connector": stages.connector,
    }
    known = ", ".join(f"{name} {ms:.1f}" for name, ms in beside.items() if ms is not None)
    weights = "random weights" if answer.weights == "random" else "checkpoint weights"
    return Text.assemble(
        (f"p50 {vision.p50:.1f} ms", "bold"),
        f", p95 {vision.p95:.1f} ms over {vision.samples} passes{per_token}\n",
        f"{known} ms\n" if known else "",
        (f"{answer.device}, {answer.dtype}, {answer.runtime}, {weights}; {answer.reason}", "dim"),
    )


def sizes_table(answer: PlanAnswer) -> Table:
    """List the size needed for each number of crops."""
    here = {"unchanged": "this image"}
    return table_of(
        "Size for each number of crops",
        (
            ("Crops>", lambda row: str(row.crops)),
            ("Tiling", lambda row: f"{row.rows}x{row.cols}"),
            ("Size", lambda row: f"{row.width}x{row.height}"),
            ("By", lambda row: here.get(row.reached_by, row.reached_by)),
        ),
        answer.control.sizes,
        lambda row: "bold green" if row.reached_by in here else None,
    )


def max_crops_table(answer: PlanAnswer) -> Table:
    """List the tiling of the image under each smaller ``max_crops``."""
    return table_of(
        "This image under each max crops",
        (
            ("Max>", lambda row: str(row.max_crops)),
            ("Tiling", lambda row: f"{row.tiling.rows}x{row.tiling.cols}"),
            ("Crops>", lambda row: str(row.tiling.crops)),
            ("Total>", lambda row: str(row.tiling.total_crops)),
            ("Prompt tokens>", lambda row: f"{row.tokens.prompt:,}"),
        ),
        answer.control.max_crops,
        lambda row: "bold green" if row.max_crops == answer.config.max_crops else None,
    )
