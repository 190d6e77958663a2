"""Model families with networks that take no time: the same names, laws, activations and order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType

MAX_CROPS = 5
"""Graphs that are captured, in place of 13."""


def shrink() -> None:
    """Put small families in the place of all, and make capturing and calibrating quick.

    Crops are of 12 patches where they are of 24, and of 13 where they are of 27: an even and an odd
    side, with windows left between the margins.
    """
    from app.core.plan import families
    from app.encoder.measuring import machine
    from app.encoder.runtimes import compiler, fastest, graphs

    families.FAMILIES = MappingProxyType(
        {name: _small(family) for name, family in families.FAMILIES.items()}
    )
    machine.matmul_gflop_per_s = partial(machine.matmul_gflop_per_s, size=128, budget_s=0.1)
    machine.COPIED_BYTES = 2**20
    compiler.why_no_compiler = lambda: "a make-believe GPU runs no kernels"
    graphs.CudaGraphs.__init__.__kwdefaults__["max_crops"] = MAX_CROPS
    graphs.TIMED_REPLAYS = graphs.TIMED_ROUNDS = 1
    fastest.DECIDED_AT = frozenset({1})


def _small(family):
    vit = replace(
        family.vit,
        width=family.vit.head_width,
        heads=1,
        mlp_width=2 * family.vit.head_width,
        blocks_stored=3,
        feature_layers=(1, 0),
    )
    connector = replace(family.connector, projector_hidden=96, llm_width=64)
    patches = family.crop_size_px // family.patch_size_px
    side_px = (12 + patches % 2) * family.patch_size_px
    return replace(family, vit=vit, connector=connector, crop_size_px=side_px)
