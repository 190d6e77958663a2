"""The report: one HTML file that tells what was found, and needs no other file and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from app import __version__
from app.core.plan.geometry import Grid
from app.core.plan.overlap import Overlap, grid_overlap
from app.report import words
from app.report.experiment import Examined, Experiment
from app.report.figures.published import compare_with_published, explained
from app.report.findings import Finding, findings
from app.report.html import charts, image_tables, set_tables
from app.report.html.command import command
from app.report.html.embedding import Embedded
from app.report.html.methods_chart import methods_chart
from app.report.html.table import Table


@dataclass(frozen=True, slots=True)
class ImageSection:
    """What the report shows of one image. ``pictures`` are its drawings, in the order shown."""

    one: Examined
    pictures: tuple[Embedded, ...]
    facts: Table
    overlap: Table
    crops: Table
    alternatives: Table
    sizes: Table
    methods: Table


def render_report(experiment: Experiment, pictures: Mapping[str, Embedded]) -> str:
    """The whole report; same arguments, same text.

    Args:
        experiment: what was found.
        pictures: those to show, by the names of their files, as ``embed_all`` makes them.
    """
    found = experiment.statistics
    said = findings(found, experiment.config)
    compared = compare_with_published(found.shapes)
    has_latency = experiment.has_latency
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            version=__version__,
            experiment=experiment,
            found=found,
            config=experiment.config,
            command=command(experiment),
            said=_by_section(said),
            pair=_pair(experiment),
            explained=explained(),
            analysed_table=set_tables.analysed_table(experiment),
            counts_chart=charts.counts_chart(found.counts),
            tilings_chart=charts.tilings_chart(found.tilings),
            most_cells=charts.MOST_CELLS,
            overlap_chart=charts.overlap_chart(compared),
            methods_chart=methods_chart(found.settings, found.averages),
            measured_chart=charts.measured_chart(experiment.measured)
            if experiment.measured
            else "",
            counts_table=set_tables.counts_table(found),
            tilings_table=set_tables.tilings_table(found.tilings),
            sizes_table=set_tables.sizes_table(found.tilings, has_latency=has_latency),
            shapes_table=set_tables.shapes_table(found.shapes),
            published_table=set_tables.published_table(compared),
            methods_tables=set_tables.methods_tables(found),
            measured_table=set_tables.measured_table(experiment.measured),
            skipped_table=set_tables.skipped_table(experiment),
            images=[_section(one, experiment, pictures) for one in experiment.examined],
            predicted=next(
                (row.latency for row in found.tilings if row.latency.at(50) is not None), None
            ),
        )
    )


def _by_section(said: Sequence[Finding]) -> Mapping[str, Sequence[str]]:
    """The sentences of each section, in their order; a section without one has an empty list."""
    sections = ("counts", "tilings", "overlap", "published", "methods", "cliffs")
    return {name: [one.text for one in said if one.about == name] for name in sections}


def _pair(experiment: Experiment) -> Overlap | None:
    """Two crops beside each other, by which overlap is explained; None where there are none."""
    return grid_overlap(Grid(1, 2), experiment.config) if experiment.config.max_crops > 1 else None


def _section(
    one: Examined, experiment: Experiment, pictures: Mapping[str, Embedded]
) -> ImageSection:
    drawn = (one.files.crops, one.files.comparison, one.files.statistics)
    return ImageSection(
        one=one,
        pictures=tuple(pictures[name] for name in drawn if name is not None and name in pictures),
        facts=image_tables.facts_table(one, experiment.latency),
        overlap=image_tables.overlap_table(one),
        crops=image_tables.crops_table(one, pictures),
        alternatives=image_tables.alternatives_table(one),
        sizes=image_tables.needed_sizes_table(one),
        methods=image_tables.methods_table(one),
    )


@cache
def _environment() -> Environment:
    """Escapes whatever is not marked safe, and knows no name that is not given."""
    made = Environment(
        loader=PackageLoader("app.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "count": words.count,
        "percent": words.percent,
        "times": words.times,
        "ms": words.ms,
        "plural": words.plural,
    }
    return made
