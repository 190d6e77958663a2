"""Render the report: one HTML file without scripts, independent of other files."""

import shlex
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from app import __version__
from app.core.plan.families import DEFAULT_FAMILY
from app.core.plan.geometry import Grid
from app.core.plan.overlap import grid_overlap
from app.report.experiment import Experiment
from app.report.figures.overlap_ranges import compare_with_published, explained
from app.report.findings import findings
from app.report.html import charts, image_tables, set_tables
from app.report.html.elements import Embedded
from app.report.words import count, ms, percent, plural, times


def render_report(experiment: Experiment, pictures: Mapping[str, Embedded]) -> str:
    """Render the whole report; the same arguments give the same text.

    Args:
        experiment: the findings.
        pictures: the embedded pictures by the names of their files, as ``embed_all`` makes them.
    """
    config, found = experiment.config, experiment.statistics
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            version=__version__,
            experiment=experiment,
            found=found,
            config=config,
            pictures=pictures,
            command=command(experiment),
            said=findings(found, config),
            # Two crops side by side; None if one crop is the limit.
            pair=grid_overlap(Grid(1, 2), config) if config.max_crops > 1 else None,
            compared=compare_with_published(found.shapes),
            explained=explained(),
            predicted=experiment.predicted,
        )
    )


@cache
def _environment() -> Environment:
    """Make an environment that escapes all unmarked text and refuses unknown names.

    The template makes its tables and charts itself, by the functions of these modules.
    """
    made = Environment(
        loader=PackageLoader("app.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {one.__name__: one for one in (count, percent, times, ms, plural)}
    made.globals |= {"charts": charts, "image_tables": image_tables, "set_tables": set_tables}
    return made


_DEFAULT_IMAGES = 5
_DEFAULT_TARGET = 12


def command(experiment: Experiment) -> str:
    """Return the command that makes this report again, with names in place of paths.

    The command works in the folder of the named files. Default values are left out.
    """
    config, family = experiment.config, experiment.config.family
    dataset, selection = experiment.dataset, experiment.selection
    margins, usual_margins = config.overlap_margins, family.overlap_margins
    values_and_defaults = {
        "--split": (dataset.split, None),
        "--images": (experiment.images_folder, None),
        "--exp2": (selection.source, None),
        "--num-images": (selection.wanted, _DEFAULT_IMAGES),
        "--target-max-crops": (selection.target_crops, _DEFAULT_TARGET),
        "--model": (family.name, DEFAULT_FAMILY),
        "--max-crops": (config.max_crops, family.default_max_crops),
        "--overlap-margins": (
            f"{margins[0]},{margins[1]}",
            f"{usual_margins[0]},{usual_margins[1]}",
        ),
        "--crop-size-px": (config.crop_size_px, family.crop_size_px),
    }
    # A name that looks like an option is a path all the same.
    path = f"./{dataset.name}" if dataset.name.startswith("-") else dataset.name
    words = ["crop-planner experiment", shlex.quote(path)]
    for option, (value, default) in values_and_defaults.items():
        if value != default:
            joint = "=" if str(value).startswith("-") else " "
            words.append(f"{option}{joint}{shlex.quote(str(value))}")
    if not experiment.save_crop_images:
        words.append("--no-crops")
    if experiment.predicted:
        words.append("--profile PROFILE.json")
    return " ".join(words)
