from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.encoders import small_encoder
from torch import Tensor

from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.preprocess import image_to_patches
from app.encoder.runtimes.base import Eager, Runtime
from app.encoder.runtimes.choose import available
from app.encoder.runtimes.fidelity import compare, plain_reference
from app.encoder.runtimes.packed import Packed
from app.encoder.synthetic import noise_crops, random_backbone
from app.profiles import load_profile
from benchmarks import encoder as benchmark
from benchmarks import fidelity, profile
from benchmarks.baselines import Released, as_images
from benchmarks.encoder_rows import line
from benchmarks.reference_file import read_reference
from benchmarks.table import NO_TIME, Counts, Makers, Table
from benchmarks.timing import Budget
from benchmarks.variants import Variant, of_runtime
from tests.encoder.reference import CPU, VECTORS, molmo1_vectors, molmo2_vectors

FAMILIES = {"molmo1": molmo1_vectors().family, "molmo2": molmo2_vectors().family}
FAMILY = FAMILIES["molmo1"]
Clock = Callable[[], float]
FILES = [VECTORS / f"{name}_backbone_tiny.safetensors" for name in FAMILIES]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_says_which_family_it_is(name: str) -> None:
    """Dimensions come from its metadata, and all else from the released family."""
    found = read_reference(VECTORS / f"{name}_backbone_tiny.safetensors").family
    wanted = FAMILIES[name]
    assert (found.vit, found.connector, found.crop_size_px) == (
        wanted.vit,
        wanted.connector,
        wanted.crop_size_px,
    )


@pytest.mark.parametrize("path", FILES, ids=FAMILIES)
def test_every_runtime_passes_against_the_reference_files(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In float32, stage by stage, all that ``auto`` may choose; each runtime is named."""
    names = available(CPU, torch.float32)
    fidelity.main([str(path), "--runtime", *names])
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert "TOO FAR" not in printed


@pytest.mark.parametrize("output", ["out/features", "out/vit_layer_-9"])
def test_an_output_that_differs_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """Either stage by itself: off by a ten-thousandth is too far in float32."""
    with safe_open(FILES[0], framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors[output] = tensors[output] * 1.0001
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    with pytest.raises(SystemExit, match="too far"):
        fidelity.main([str(tmp_path / "other.safetensors"), "--runtime", "eager"])
    assert "TOO FAR" in capsys.readouterr().out


@pytest.mark.parametrize("name", FAMILIES)
def test_the_released_way_makes_the_same_tokens(name: str) -> None:
    """From the same weights, for several crops, though it computes more of them."""
    family = FAMILIES[name]
    noise = noise_crops(family, CPU, torch.float32, 5)
    reference = plain_reference(random_backbone(family, CPU, torch.float32), noise)
    for float32_attention in (False, True):
        runtime = Released(family, CPU, float32_attention=float32_attention)
        found = compare(runtime, reference, torch.float32)
        assert found.holds(torch.float32)
        assert found.tokens.relative_error <= 1e-4


def test_rivals_see_the_crops_that_the_patches_were_cut_from() -> None:
    """An image of just a crop's size comes back as its own pixels."""
    released = family_named("molmo-7b-d-0924")
    law = replace(released.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    family = replace(released, preprocessing=law)
    pixels = torch.randint(0, 256, (336, 336, 3), dtype=torch.uint8)
    patches = image_to_patches(pixels, make_plan(Size(336, 336), make_config(family)))
    shown = (as_images(patches, family)[1] * 255).round().to(torch.uint8)
    assert torch.equal(shown.permute(1, 2, 0), pixels)


class Wrong:
    """A runtime that computes something else."""

    name = "wrong"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._eager = Eager(backbone)
        self.connect = self._eager.connect

    def encode_patches(self, patches: Tensor) -> Tensor:
        return self._eager.encode_patches(patches) * 1.1


class Failing(Wrong):
    """A runtime that fails when it is called for the last time of some."""

    name = "failing"

    def __init__(self, backbone: VisionBackbone, calls: int) -> None:
        super().__init__(backbone)
        self._left = calls

    def encode_patches(self, patches: Tensor) -> Tensor:
        self._left -= 1
        if not self._left:
            raise RuntimeError("out of luck")
        return self._eager.encode_patches(patches)


def of(make: Callable[[VisionBackbone], Runtime]) -> Variant:
    """A runtime of random weights as a variant."""
    runtime = make(random_backbone(FAMILY, CPU, torch.float32))
    return of_runtime(runtime, torch.float32, torch.float32)


def absent() -> Variant:
    raise ModuleNotFoundError("No module named 'absent'")


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Variant]]:
    """The eager runtime, and a rate of 1 TFLOP/s, which takes no time to measure."""
    monkeypatch.setattr("benchmarks.table.matmul_gflop_per_s", lambda *_, **__: 1e3)
    return {"eager": lambda: of(Eager)}


def table(counts: Counts, ours: Sequence[str] = ("eager",), clock: Clock = lambda: 0.0) -> Table:
    return Table(FAMILY, CPU, counts, ours, Budget(100, clock))


BOTH = Counts((1, 2), (1, 2))


def test_the_table_holds_every_variant_or_says_why_not(makers: Makers) -> None:
    """A wrong one has its error and no latency, a missing one its reason, the rest are compared
    with ours over the same rounds."""
    found = table(BOTH, ("wrong", "eager"))
    list(found.fill({"wrong": lambda: of(Wrong), "absent": absent, **makers}, 3))
    assert found.missing == {"absent": "ModuleNotFoundError: No module named 'absent'"}
    assert found.our_name == "eager"
    rows = found.rows()
    assert len(rows) == 2 * 2 * 2  # variants, counts, scopes
    for row in rows:
        assert row.fidelity is not None
        if row.variant == "wrong":
            assert not row.passes
            assert row.samples_ms == ()
            assert "no latency" in line(row)
        else:
            assert row.passes
            assert len(row.samples_ms) == 3
            assert row.ms is not None
            assert row.floor_ms == pytest.approx(row.flops / 1e9)
            assert row.fraction == pytest.approx(row.flops / 1e9 / row.ms.p50)


def test_rivals_are_never_ours(makers: Makers) -> None:
    """Where none of ours passes its check there is nothing to compare with."""
    found = table(BOTH, ("wrong",))
    list(found.fill({"wrong": lambda: of(Wrong), **makers}, 1))
    assert found.our_name is None
    assert all(row.ratio is None for row in found.rows())


def test_every_cell_and_every_round_is_known_when_its_line_comes(makers: Makers) -> None:
    """Variants and counts in their order: first what was checked, then what was timed."""
    found = table(BOTH)
    lines = found.fill({**makers, "packed": lambda: of(Packed)}, 2)
    known = []
    for _ in range(4):
        next(lines)
        known.append([(row.variant, row.total_crops) for row in found.rows()][-1])
        assert all("not timed" in line(row) for row in found.rows())
    assert known == [("eager", 1), ("eager", 2), ("eager", 2), ("packed", 2)]
    list(lines)
    assert {len(row.samples_ms) for row in found.rows()} == {2}


def test_the_staircase_is_of_the_first_of_ours(makers: Makers) -> None:
    """All others are at fewer numbers of crops."""
    found = table(Counts((1, 2, 3), (2,)))
    list(found.fill({**makers, "packed": lambda: of(Packed)}, 1))
    cells = {(row.variant, row.total_crops) for row in found.rows()}
    assert cells == {("eager", 1), ("eager", 2), ("eager", 3), ("packed", 2)}


def test_what_is_not_begun_in_time_leaves_time_for_rounds(makers: Makers) -> None:
    """After its share of the budget nothing is taken in; what is there is timed."""
    now = [0.0]
    found = table(BOTH, clock=lambda: now[0])
    lines = found.fill({**makers, "packed": lambda: of(Packed)}, 3)
    next(lines)
    now[0] = 61.0
    list(lines)
    assert found.missing == {"eager, 2 crops": NO_TIME, "packed": NO_TIME}
    assert [len(row.samples_ms) for row in found.rows()] == [3, 3]  # of both scopes


def test_a_variant_that_took_the_time_to_be_made_is_timed(makers: Makers) -> None:
    """At its first number of crops, though the share of the budget is gone."""
    now = [0.0]

    def slow() -> Variant:
        now[0] = 90.0
        return of(Eager)

    found = table(BOTH, clock=lambda: now[0])
    list(found.fill({"eager": slow}, 2))
    assert found.missing == {"eager, 2 crops": NO_TIME}
    assert [len(row.samples_ms) for row in found.rows()] == [2, 2]


def test_a_run_in_which_nothing_was_timed_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its result is saved all the same: it says why."""
    monkeypatch.setattr("benchmarks.timing.RESULTS", tmp_path)
    monkeypatch.setattr(benchmark, "makers_of", lambda *_, **__: {"absent": absent})
    with pytest.raises(SystemExit, match="nothing was timed"):
        benchmark.main(["--tiny", "--counts", "1"])
    (saved,) = tmp_path.iterdir()
    assert "absent" in json.loads(saved.read_text())["missing"]


def test_rounds_end_with_the_budget(makers: Makers) -> None:
    """The first one is whole, and none begins after."""
    now = [0.0]
    found = table(BOTH, clock=lambda: now[0])
    lines = found.fill(makers, 100)
    for done in lines:
        if done.startswith("round 2 "):
            now[0] = 101.0
    assert {len(row.samples_ms) for row in found.rows()} == {2}


def test_a_variant_that_fails_under_way_stops_no_other(makers: Makers) -> None:
    """It keeps what it had, is not tried again, and is compared over the rounds it was in."""
    # A check and two passes to warm up, then three rounds.
    failing = partial(of, lambda backbone: Failing(backbone, calls=6))
    found = table(Counts((1,), (1,)))
    list(found.fill({**makers, "failing": failing}, 4))
    assert found.missing == {"failing, 1 crops": "RuntimeError: out of luck"}
    samples = {row.variant: len(row.samples_ms) for row in found.rows()}
    assert samples == {"eager": 4, "failing": 2}
    assert {row.ratio.samples for row in found.rows() if row.ratio} == {2}


def test_ours_and_eager_rivals_come_before_what_is_compiled() -> None:
    """And the compiled ones can be left out; transformers is compiled both ways."""
    cuda, released = torch.device("cuda"), family_named("molmo-7b-d-0924")
    every = list(benchmark.makers_of(released, cuda, torch.bfloat16))
    eager = list(benchmark.makers_of(released, cuda, torch.bfloat16, compiled=False))
    assert every[: len(eager)] == eager
    assert eager[0] == benchmark.our_names(cuda, torch.bfloat16)[0]
    assert {"released", "transformers", "timm"} < set(eager)
    modes = ["transformers, compiled", "transformers, reduce-overhead", "compiled"]
    assert every[len(eager) :] == modes


def test_a_run_that_ends_half_way_leaves_what_it_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is whole after every line, though the run never came to its end."""

    def ends(self: Table, makers: Makers, rounds: int) -> Iterator[str]:
        yield from islice(fill(self, makers, rounds), 2)
        raise KeyboardInterrupt

    fill = Table.fill
    monkeypatch.setattr("benchmarks.table.matmul_gflop_per_s", lambda *_, **__: 1e3)
    monkeypatch.setattr("benchmarks.timing.RESULTS", tmp_path)
    monkeypatch.setattr(Table, "fill", ends)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main(["--tiny", "--counts", "1", "2", "--only", "eager"])
    (saved,) = tmp_path.iterdir()
    result = json.loads(saved.read_text())
    assert result["model"] == "tiny-molmo-7b-d-0924"
    assert {row["total_crops"] for row in result["rows"]} == {1, 2}


def test_fidelity_is_saved_after_every_number_of_crops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what there was no time for is told, not compared."""
    saved: list[int] = []
    save = fidelity.save

    def saves(name: str, result: Mapping[str, Any]) -> Path:
        saved.append(len(result["rows"]))
        return save(name, result)

    monkeypatch.setattr("benchmarks.timing.RESULTS", tmp_path)
    monkeypatch.setattr(fidelity, "save", saves)
    fidelity.main(["--tiny", "--runtime", "eager", "--counts", "1", "2"])
    assert saved == [1, 2, 3, 4]  # a family of each generation
    saved.clear()
    fidelity.main(["--tiny", "--runtime", "eager", "--budget-s", "0"])
    assert saved == []


def test_a_profile_without_a_pass_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command fails and says so; with time for a pass, what it measured is there."""
    monkeypatch.setattr("benchmarks.profile.load_encoder", lambda *_, **__: small_encoder())
    monkeypatch.setattr(
        "app.encoder.measuring.measure.matmul_gflop_per_s", lambda device, dtype: 500.0
    )
    monkeypatch.setattr("app.encoder.measuring.measure.copy_gb_per_s", lambda device: 20.0)
    asked = ["--out", str(tmp_path), "--counts", "1", "--repeats", "2", "--budget-s"]
    with pytest.raises(SystemExit, match="nothing was measured"):
        profile.main([*asked, "0"])
    assert list(tmp_path.iterdir()) == []
    profile.main([*asked, "60"])
    (saved,) = tmp_path.iterdir()
    assert [entry.vision_ms.samples for entry in load_profile(saved).entries] == [2]
