"""Read and write ``exp2_component_timing.json``: crops and component times of each image.

Files of other programs are read alike: ``{"results": [{"image_id": …, "num_crops": …, …}, …]}``.
Only these two fields are required. docs/reference/timing-file.md lists the fields of our files.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.core.errors import InvalidSize
from app.core.json import json_text
from app.core.latency.profile import DeviceType, Fidelity, MachineState, Weights
from app.core.latency.timings import Percentiles
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.report.dataset.foreign_text import read_json
from app.report.dataset.images import Dataset
from app.report.errors import InvalidTiming
from app.report.timing.components import COMPONENTS, ComponentTiming, ImageComponents
from app.schemas.answer import mirrored
from app.schemas.plan import ConfigAnswer

TIMING_FILE = "exp2_component_timing.json"


@dataclass(frozen=True, slots=True)
class TimingRow:
    """Hold one row of the file.

    ``num_crops`` is unchanged from the file, with or without the global crop: see
    ``TimingFile.counts_global_crop``. ``row`` is the whole row.
    """

    image_id: int | str
    example_id: int | str | None
    num_crops: int
    file_name: str | None
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TimingFile:
    """Hold the rows in the file's order; several may be of one image.

    Attributes:
        name: of the file, without its folder.
        counts_global_crop: True if ``num_crops`` includes the global crop, as in Molmo's own code;
            None if the file does not say.
        measured_on: device, dtype, runtime and weights, if the file says any.
        contended: the file's reason to doubt its times.
    """

    name: str
    results: tuple[TimingRow, ...]
    counts_global_crop: bool | None
    measured_on: str | None = None
    contended: str | None = None


def read_timing(path: Path) -> TimingFile:
    """Read a timing file; unknown fields stay in ``row``.

    Raises:
        InvalidTiming: the file is unreadable or wrong; the error names the row and the field.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise InvalidTiming(f"{path.name} cannot be read: {error}", file=path.name) from None
    reader = _Reader(path.name)
    reader.require(isinstance(content, dict), "", "a timing file is a JSON object")
    rows = content.get("results")
    reader.require(isinstance(rows, list), "results", "missing, or not a list")
    says = content.get("counts_global_crop")
    reader.require(says is None or type(says) is bool, "counts_global_crop", "not true or false")
    contended = content.get("contended")
    return TimingFile(
        path.name,
        tuple(reader.image(row, f"results[{index}]") for index, row in enumerate(rows)),
        says,
        _measured_on(content),
        contended if isinstance(contended, str) else None,
    )


def _measured_on(content: Mapping[str, Any]) -> str | None:
    said = [content.get(name) for name in ("device", "dtype", "runtime", "weights")]
    *conditions, weights = (value if isinstance(value, str) else None for value in said)
    known = [*conditions, f"{weights} weights" if weights else None]
    return ", ".join(one for one in known if one) or None


class _Reader:
    """Check the values of a file, and name the file in a refusal."""

    def __init__(self, file: str) -> None:
        self._file = file

    def require(self, condition: bool, field: str, reason: str) -> None:
        if not condition:
            told = f"{field}: {reason}" if field else reason
            raise InvalidTiming(f"{self._file}: {told}", file=self._file, field=field)

    def image(self, row: Any, at: str) -> TimingRow:
        self.require(isinstance(row, dict), at, "not an object")
        self.require(row.get("image_id") is not None, f"{at}.image_id", "missing")
        self.require("num_crops" in row, f"{at}.num_crops", "missing")
        crops = row["num_crops"]
        self.require(
            type(crops) is int and crops > 0, f"{at}.num_crops", f"{crops!r} is no positive integer"
        )
        tokens, name = row.get("num_vision_tokens"), row.get("file_name")
        self.require(
            tokens is None or (type(tokens) is int and tokens >= 0),
            f"{at}.num_vision_tokens",
            f"{tokens!r} is no number of tokens",
        )
        self.require(name is None or isinstance(name, str), f"{at}.file_name", "not a string")
        image_id = self._identity(row, "image_id", at)
        example_id = self._identity(row, "example_id", at)
        self._check_size(row, at)
        return TimingRow(image_id, example_id, crops, name, row)

    def _identity(self, row: Mapping[str, Any], field: str, at: str) -> Any:
        value = row.get(field)
        allowed = value is None or type(value) in (int, str)
        self.require(allowed, f"{at}.{field}", f"{value!r} is neither an integer nor a string")
        return value

    def _check_size(self, row: Mapping[str, Any], at: str) -> None:
        width, height = row.get("width"), row.get("height")
        if width is None and height is None:
            return
        whole = type(width) is int and type(height) is int
        self.require(whole, f"{at}.width", "width and height are whole px, or neither is there")
        try:
            Size(width, height)  # type: ignore[arg-type]  # whole, as was required
        except InvalidSize as error:
            self.require(False, f"{at}.{error.facts['parameter']}", error.detail)


EXPERIMENT = "exp2_component_profiling"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Hold the conditions of a timing, with the names and meanings of a profile's."""

    device: str
    device_type: DeviceType
    dtype: str
    runtime: str
    weights: Weights
    threads: int
    versions: dict[str, str]
    measured_at: str
    fidelity: Fidelity | None
    machine_before: MachineState
    machine_after: MachineState
    contended: str | None


def timing_to_json(
    timing: ComponentTiming,
    dataset: Dataset,
    config: CropConfig,
    conditions: Conditions,
    *,
    repeats: int,
) -> str:
    """Return the text of the file that :func:`read_timing` reads."""
    content = {
        "experiment": EXPERIMENT,
        "dataset": {"name": dataset.name, "split": dataset.split, "kind": dataset.kind},
        "counts_global_crop": True,
        "model": config.family.name,
        "config": asdict(mirrored(ConfigAnswer, config)),
        **asdict(conditions),
        "repeats": repeats,
        "warmups": [
            {"num_crops": crops, **asdict(warmup)}
            for crops, warmup in sorted(timing.warmups.items())
        ],
        "skipped": [asdict(one) for one in timing.skipped],
        "results": [_row(one) for one in timing.images],
    }
    return json_text(content)


def _row(measured: ImageComponents) -> dict[str, Any]:
    subject, plan = measured.subject, measured.subject.plan
    samples = {component: measured.samples_ms(component) for component in COMPONENTS}
    return {
        "image_id": subject.image.image_id,
        "example_id": subject.position,
        "file_name": subject.image.file_name,
        "width": plan.image.width,
        "height": plan.image.height,
        "num_crops": plan.total_crops,
        "num_grid_crops": plan.grid.crops,
        "tiling": str(plan.grid),
        "num_vision_tokens": plan.tokens.patch,
        "num_prompt_tokens": plan.tokens.prompt,
        **{f"{component}_ms": _percentiles(ms) for component, ms in samples.items()},
        "samples_ms": samples,
    }


def _percentiles(samples_ms: list[float]) -> dict[str, float] | None:
    found = Percentiles.of_any(samples_ms)
    return None if found is None else {"p50": found.p50, "p95": found.p95, "samples": found.samples}
