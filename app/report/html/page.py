"""Render the report: one HTML file without scripts, independent of other files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from app import __version__
from app.core.plan.families import DEFAULT_FAMILY
from app.core.plan.geometry import Grid
from app.core.plan.overlap import Overlap, grid_overlap
from app.report import words
from app.report.experiment import Examined, Experiment
from app.report.figures.overlap_ranges import compare_with_published, explained
from app.report.findings import findings
from app.report.html import charts, image_tables, set_tables
from app.report.html.elements import Embedded
from app.report.html.methods_chart import methods_chart
from app.report.words import Finding


def render_report(experiment: Experiment, pictures: Mapping[str, Embedded]) -> str:
    """Render the whole report; the same arguments give the same text.

    Args:
        experiment: the findings.
        pictures: the embedded pictures by the names of their files, as ``embed_all`` makes them.
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
    """Group the sentences by section, in order; a section without sentences has an empty list."""
    sections = ("counts", "tilings", "overlap", "published", "methods", "cliffs")
    return {name: [one.text for one in said if one.about == name] for name in sections}


def _pair(experiment: Experiment) -> Overlap | None:
    """Return the overlap of two crops side by side; None if one crop is the limit."""
    return grid_overlap(Grid(1, 2), experiment.config) if experiment.config.max_crops > 1 else None


def _section(
    one: Examined, experiment: Experiment, pictures: Mapping[str, Embedded]
) -> dict[str, Any]:
    """Return the drawings and the tables of one image by the template's names."""
    drawn = (one.files.crops, one.files.comparison, one.files.statistics)
    return {
        "one": one,
        "pictures": [pictures[name] for name in drawn if name is not None and name in pictures],
        "facts": image_tables.facts_table(one, experiment.latency),
        "overlap": image_tables.overlap_table(one),
        "crops": image_tables.crops_table(one, pictures),
        "alternatives": image_tables.alternatives_table(one),
        "sizes": image_tables.needed_sizes_table(one),
        "methods": image_tables.methods_table(one),
    }


@cache
def _environment() -> Environment:
    """Make an environment that escapes all unmarked text and refuses unknown names."""
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


_DEFAULT_IMAGES = 5
_DEFAULT_TARGET = 12


def command(experiment: Experiment) -> str:
    """Return the command that makes this report again, with names in place of paths.

    The command works in the folder of the named files. Default values are left out.
    """
    return " ".join(["crop-planner experiment", *_arguments(experiment)])


def _arguments(experiment: Experiment) -> Iterator[str]:
    config, family = experiment.config, experiment.config.family
    dataset, selection = experiment.dataset, experiment.selection
    # A name that looks like an option is a path all the same.
    yield shlex.quote(f"./{dataset.name}" if dataset.name.startswith("-") else dataset.name)
    options = {
        "--split": dataset.split,
        "--images": experiment.images_folder,
        "--exp2": selection.source,
        "--num-images": _unless(selection.wanted, _DEFAULT_IMAGES),
        "--target-max-crops": _unless(selection.target_crops, _DEFAULT_TARGET),
        "--model": family.name if family.name != DEFAULT_FAMILY else None,
        "--max-crops": _unless(config.max_crops, family.default_max_crops),
        "--overlap-margins": _unless(config.overlap_margins, family.overlap_margins),
        "--crop-size-px": _unless(config.crop_size_px, family.crop_size_px),
    }
    for option, value in options.items():
        if value is not None:
            yield (
                f"{option}={shlex.quote(value)}"
                if value[:1] == "-"
                else (f"{option} {shlex.quote(value)}")
            )
    if not experiment.save_crop_images:
        yield "--no-crops"
    if experiment.has_latency:
        yield "--profile PROFILE.json"


def _unless(value: int | tuple[int, int], usual: int | tuple[int, int]) -> str | None:
    """Return the value as typed on a command line, None for the usual value."""
    if value == usual:
        return None
    return f"{value[0]},{value[1]}" if isinstance(value, tuple) else str(value)
