"""Define the options of several commands, one frozen value for each group."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from app import descriptions
from app.cli.inputs import parse_margins, parse_size, read_settings
from app.cli.terminal import console, print_json
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.encoder.device import DeviceChoice, DtypeChoice
from app.imaging.write.render import OutputFormat
from app.imaging.write.resample import Resample
from app.settings import Settings

Answer = TypeVar("Answer")

_CONFIGURATION = "Configuration"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Model family; by default CROP_PLANNER_MODEL, else molmo-7b-d-0924.",
        rich_help_panel=_CONFIGURATION,
    ),
]
MaxCropsOption = Annotated[
    int | None,
    typer.Option(
        "--max-crops", metavar="N", help=descriptions.MAX_CROPS, rich_help_panel=_CONFIGURATION
    ),
]
# Text: Typer would read a tuple as an option of two arguments.
MarginsOption = Annotated[
    str | None,
    typer.Option(
        "--overlap-margins",
        metavar="LEFT,RIGHT",
        help=descriptions.OVERLAP_MARGINS,
        rich_help_panel=_CONFIGURATION,
    ),
]
CropSizeOption = Annotated[
    int | None,
    typer.Option(
        "--crop-size-px",
        metavar="PX",
        help=descriptions.CROP_SIZE_PX,
        rich_help_panel=_CONFIGURATION,
    ),
]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Override the family's own configuration."""

    model: ModelOption = None
    max_crops: MaxCropsOption = None
    overlap_margins: MarginsOption = None
    crop_size_px: CropSizeOption = None

    def read(self, **overrides: Any) -> tuple[Settings, CropConfig]:
        """Read the settings; return them, and the family's configuration with these values.

        Args:
            overrides: of the settings; None changes nothing.

        Raises:
            typer.BadParameter: a variable of the environment cannot be used.
            UnknownModel, InvalidConfig: there is no such family or configuration.
        """
        settings = read_settings(**overrides)
        return settings, make_config(
            family_named(self.model or settings.model),
            max_crops=self.max_crops,
            overlap_margins=parse_margins(self.overlap_margins) if self.overlap_margins else None,
            crop_size_px=self.crop_size_px,
        )


ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite OUT.")]


def out_option(example: str) -> Any:
    """Describe the option of the file to write; ``example`` is a default name."""
    return typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        dir_okay=False,
        help=f"File to write; by default beside the image, as in {example}.",
    )


@dataclass(frozen=True, slots=True)
class MadeImage:
    """Say the form and the file of a made image."""

    form: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="By default what OUT ends in, else the image's own or PNG."),
    ] = None
    quality: Annotated[int | None, typer.Option(min=1, max=100, help=descriptions.QUALITY)] = None
    resample: Annotated[Resample, typer.Option(help=descriptions.RESAMPLE)] = "lanczos"
    out: Annotated[Path | None, out_option("photo.4crops.jpg")] = None
    force: ForceOption = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done; write nothing.")
    ] = False


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Name a set of images."""

    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            exists=True,
            help="A folder of images, a COCO-style annotation file, or a folder with splits.",
        ),
    ]
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of several, such as val2017.")
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="The files of an annotation file; by default looked for beside it.",
        ),
    ] = None


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the JSON of the HTTP call; errors too, on stderr.")
]
FileJsonOption = Annotated[
    bool, typer.Option("--json", help="Print what the JSON file holds; errors too, on stderr.")
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Give latencies from this profile, as `measure` saved it; by default "
        "CROP_PLANNER_PROFILE.",
    ),
]


@dataclass(frozen=True, slots=True)
class Question(Configuration):
    """Choose the configuration, the profile and the form of an answer."""

    profile: ProfileOption = None
    as_json: JsonOption = False

    def show(self, answer: Answer, tables: Callable[[Console, Answer], None]) -> None:
        """Print the JSON of an answer, or its tables."""
        if self.as_json:
            print_json(answer)
        else:
            tables(console(), answer)


ImageArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, readable=True, help="The image file."
    ),
]
SizeArgument = Annotated[
    Size, typer.Argument(metavar="WIDTHxHEIGHT", parser=parse_size, help="Size in px.")
]
WarmupOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="S",
        help="Most seconds to warm a number of crops up until its times settle; "
        "by default 2 on a CPU, 10 on a GPU.",
    ),
]
DeviceOption = Annotated[
    DeviceChoice | None, typer.Option(help="By default CROP_PLANNER_DEVICE, else auto.")
]
DtypeOption = Annotated[
    DtypeChoice | None, typer.Option(help="By default CROP_PLANNER_DTYPE, else auto.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Safetensors; by default CROP_PLANNER_CHECKPOINT, else random weights.",
    ),
]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Say the scope of a measurement. None leaves a value to the family or the device."""

    counts: Annotated[
        str | None,
        typer.Option(
            metavar="COUNTS",
            help="Total crops, as in 1-13 or 1,5,9; by default up to the family's max crops + 1.",
        ),
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most timed passes of each; by default 7 on a CPU, 200 on a GPU.",
        ),
    ] = None
    warmup: WarmupOption = None
    full: Annotated[
        bool,
        typer.Option("--full", help="Time the way from the decoded image, too; always on a GPU."),
    ] = False
    states: Annotated[
        bool,
        typer.Option(
            "--states", help="Also a fresh process, and silence of 1 and 10 s: takes minutes."
        ),
    ] = False
    budget: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, help="Most seconds; the rounds that fit are run."),
    ] = None
    device: DeviceOption = None
    dtype: DtypeOption = None
    checkpoint: CheckpointOption = None
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Add the missing counts and passes to the saved profile."),
    ] = False


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Spread each parameter of a dataclass's type into the dataclass's fields.

    Typer then reads the fields as options; the command gets one frozen value.
    """
    parameters: list[Parameter] = []
    groups: dict[str, type] = {}
    for parameter in signature(command, eval_str=True).parameters.values():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter)
            continue
        assert isinstance(parameter.annotation, type)
        groups[parameter.name] = parameter.annotation
        parameters += signature(parameter.annotation, eval_str=True).parameters.values()

    @wraps(command)
    def spread(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        command(**given)

    by_name = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters]
    spread.__signature__ = Signature(by_name)  # type: ignore[attr-defined]  # for Typer
    spread.__annotations__ = {one.name: one.annotation for one in parameters}
    return spread
