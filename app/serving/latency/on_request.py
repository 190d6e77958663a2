"""Measure passes over one image's own crops, for ``latency=measure``."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from app.core.errors import DeadlineExceeded
from app.core.latency.latency import Distribution, Latency, VisionLatency
from app.core.latency.status import Preparation
from app.core.plan.plan import CropPlan
from app.serving.device.protocol import ServedEncoder

if TYPE_CHECKING:
    from app.encoder.encoder import StageTimes
    from app.imaging.read.decode import Picture

WARMUP, DEFAULT_REPEATS = 1, 3
"""A measured image runs this number of uncounted and of counted passes."""


def run_passes(
    encoder: ServedEncoder,
    load: Callable[[], Picture],
    plan: CropPlan,
    *,
    repeats: int,
    deadline: float,
    queue_ms: float = 0,
    before_pass: Callable[[], None] = lambda: None,
) -> tuple[Latency, Preparation]:
    """Time ``repeats`` passes over a picture's crops after ``WARMUP``, in the calling thread.

    Args:
        load: decodes the picture; its pixels are released after the preparation.
        deadline: ``time.monotonic()`` of the last start of a pass.
        queue_ms: the wait of the request before the call.
        before_pass: called before each pass; its errors end the measurement.

    Returns:
        The latency, and the times before the passes.

    Raises:
        DeadlineExceeded: the deadline came first.
    """
    picture = load()
    decoded = time.monotonic()
    prepared = encoder.prepare(picture, plan)
    del picture
    preprocess_ms = (time.monotonic() - decoded) * 1e3
    spent = Preparation(queue_ms, preprocess_ms, prepared.transfer_ms)
    passes: list[StageTimes] = []
    for number in range(WARMUP + repeats):
        before_pass()
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"{number} of {WARMUP + repeats} passes were done by the deadline",
                limit=WARMUP + repeats,
                actual=number,
            )
        passes.append(prepared.run_pass())
    return _measured(encoder, passes[WARMUP:]), spent


def _measured(encoder: ServedEncoder, passes: list[StageTimes]) -> Latency:
    return Latency(
        source="measured",
        reason=f"measured just now over this image's own crops, {len(passes)} times",
        device=encoder.device,
        dtype=encoder.dtype,
        runtime=encoder.runtime,
        weights=encoder.weights,
        vision=VisionLatency(
            Distribution.of([p.vision_ms for p in passes]),
            vit_ms=median(p.vit_ms for p in passes),
            connector_ms=median(p.connector_ms for p in passes),
        ),
        basis="measured",
        this_device=True,
    )
