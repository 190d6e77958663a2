from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from app.encoder.network.backbone import Mlp, VisionBackbone
from app.encoder.runtimes.fastest import DECIDED_AT, FastestParts, parts_for
from app.encoder.runtimes.vit_passes import PLAIN, Parts, UpPlainly, VitPass
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU, Vectors


@pytest.fixture(scope="module")
def backbone(molmo1: Vectors) -> VisionBackbone:
    return random_backbone(molmo1.family, CPU, torch.float32)


def clock(times: dict[str, float], asked: list[str] | None = None) -> Callable[[VitPass], float]:
    """Tells the ms of the first of these names that a pass's name begins with, else 100."""

    def time_ms(vit: VitPass) -> float:
        if asked is not None:
            asked.append(vit.name)
        return next((ms for name, ms in times.items() if vit.name.startswith(name)), 100.0)

    return time_ms


class Wrong(UpPlainly):
    """Computes something else."""

    def __call__(self, rows: Tensor) -> Tensor:
        return -super().__call__(rows)


class NotANumber(UpPlainly):
    def __call__(self, rows: Tensor) -> Tensor:
        return super().__call__(rows) * float("nan")


class Broken(UpPlainly):
    def __init__(self, mlp: Mlp) -> None:
        raise OSError("no compiler\nof any kind")


def choose_from(backbone: VisionBackbone, *parts: Parts) -> FastestParts:
    with torch.inference_mode():
        return FastestParts(backbone, parts)


@pytest.mark.parametrize("make_up", [Wrong, NotANumber, Broken])
def test_what_computes_something_else_is_never_timed(
    backbone: VisionBackbone, make_up: Callable[[Mlp], UpPlainly]
) -> None:
    """However fast it is; and the reason is kept in one line."""
    bad = replace(PLAIN, name="bad", make_up=make_up)
    fastest = choose_from(backbone, PLAIN, bad)
    asked: list[str] = []
    assert fastest(13, clock({"bad": 0.1}, asked)).name.startswith("sum after")
    assert not any(name.startswith("bad") for name in asked)
    (reason,) = (why for name, why in fastest.refused.items() if name.startswith("bad"))
    assert "relative error" in reason or reason == "OSError: no compiler"


def test_the_fastest_is_taken_only_where_it_is_clearly_faster(backbone: VisionBackbone) -> None:
    """Of two that take about as long, the simpler one, so that starts do not differ by chance."""
    other = replace(PLAIN, name="other")
    for ms, expected in ((99.5, "sum after"), (90.0, "other")):
        fastest = choose_from(backbone, PLAIN, other)
        assert fastest(13, clock({"other": ms})).name.startswith(expected)


def test_some_counts_decide_for_those_below_them(backbone: VisionBackbone) -> None:
    """A count between takes the way of the next larger one, without being timed."""
    fastest = choose_from(backbone, PLAIN, replace(PLAIN, name="other"))
    chosen, timed = {}, set()
    for crops in range(13, 0, -1):
        asked: list[str] = []
        times = {"other": 1.0} if crops in (13, 2) else {}
        chosen[crops] = fastest(crops, clock(times, asked)).name.split(",")[0]
        if asked:
            timed.add(crops)
    assert timed == DECIDED_AT
    assert [crops for crops in chosen if chosen[crops] == "other"] == [13, 12, 11, 10, 9, 8, 2]


def test_the_backend_of_attention_is_chosen_by_time_too(backbone: VisionBackbone) -> None:
    """Among those that work here: a CPU has flash attention, and no cuDNN."""
    fastest = choose_from(backbone, PLAIN)
    assert any("cudnn" in name for name in fastest.refused)
    flash = SDPBackend.FLASH_ATTENTION.name.lower()
    vit = fastest(13, clock({f"sum after, {flash}": 1.0}))
    assert vit.name == f"sum after, {flash}"


def test_what_cannot_be_captured_is_left_out(backbone: VisionBackbone) -> None:
    """A way that works by itself may fail in a capture, or need more memory than there is: once."""
    fastest = choose_from(backbone, PLAIN, replace(PLAIN, name="other"))
    asked: list[str] = []

    def time_ms(vit: VitPass) -> float:
        asked.append(vit.name)
        if vit.name.startswith("other"):
            raise RuntimeError("operation not permitted when stream is capturing\nadvice")
        return 1.0

    for crops in (13, 7):
        assert fastest(crops, time_ms).name.startswith("sum after")
    assert sum(name.startswith("other") for name in asked) == 1
    (reason,) = (why for name, why in fastest.refused.items() if name.startswith("other"))
    assert reason == "RuntimeError: operation not permitted when stream is capturing"


def test_where_nothing_computes_the_same_there_is_no_runtime(backbone: VisionBackbone) -> None:
    """The error names every way with its reason."""
    with pytest.raises(RuntimeError, match=r"bad.*relative error"):
        choose_from(backbone, replace(PLAIN, name="bad", make_up=Wrong))


def test_a_cpu_has_the_plain_way_alone(backbone: VisionBackbone) -> None:
    assert parts_for(backbone) == (PLAIN,)
