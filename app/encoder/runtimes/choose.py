"""Which runtime to use: the fastest that this machine has and that agrees with the plain network.

Measured gains are in docs/runtimes.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch

from app.core.choices import RuntimeChoice
from app.core.errors import EncoderUnavailable
from app.encoder.backbone import VisionBackbone
from app.encoder.device import dtype_name
from app.encoder.fidelity import Reference, StageAgreement, compare
from app.encoder.runtimes.base import Eager, Runtime
from app.encoder.runtimes.graphs import CudaGraphs, compiled_graphs, wide_graphs
from app.encoder.runtimes.openvino import OpenVino, OpenVinoInt8, openvino_installed
from app.encoder.runtimes.packed import Packed, can_pack

MAKERS: Mapping[str, Callable[[VisionBackbone], Runtime]] = {
    "eager": Eager,
    "packed": Packed,
    "openvino": OpenVino,
    "openvino-int8": OpenVinoInt8,
    "cuda-graphs": CudaGraphs,
    "cuda-graphs-wide": wide_graphs,
    "compiled": compiled_graphs,
}
"""How each is made; it may take the backbone over, which is then of no other use."""

COARSER: Mapping[str, torch.dtype] = {"openvino-int8": torch.int8}
"""What these are as exact as, whatever dtype goes in and out; used only where asked for."""

log = logging.getLogger(__name__)


def available(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """The runtimes that can work here, in the order to try them; ``eager`` can everywhere."""
    if device.type == "cuda":
        return ("cuda-graphs", "cuda-graphs-wide", "eager")
    on_cpu = device.type == "cpu"
    names = {
        "openvino": on_cpu and openvino_installed(),
        "packed": on_cpu and can_pack(dtype),
        "eager": True,
    }
    return tuple(name for name, works in names.items() if works)


def on_request(device: torch.device) -> tuple[str, ...]:
    """Runtimes that can work here and are only used by their name.

    One is coarser than its dtype (:data:`COARSER`), the other takes a minute to be made.
    """
    if device.type == "cuda":
        return ("compiled",)
    return ("openvino-int8",) if device.type == "cpu" and openvino_installed() else ()


def exact_as(name: str, dtype: torch.dtype) -> torch.dtype:
    """The dtype whose limits a runtime is held to, where ``dtype`` goes in and out."""
    return COARSER.get(name, dtype)


def choose(
    choice: RuntimeChoice,
    make_backbone: Callable[[], VisionBackbone],
    reference_of: Callable[[VisionBackbone], Reference] | None,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Runtime, StageAgreement | None]:
    """The fastest runtime that agrees with the plain float32 network, or just the chosen one.

    Args:
        make_backbone: makes the weights; called again if a runtime has to be given up.
        reference_of: what the plain network makes of some inputs; None: not compared.

    Raises:
        EncoderUnavailable: the chosen one cannot work here, or does not agree.
    """
    names = available(device, dtype)
    if choice != "auto":
        offered = (*names, *on_request(device))
        if choice not in offered:
            raise EncoderUnavailable(
                f"runtime {choice} does not work on {device.type} here; there is "
                f"{', '.join(offered)}",
                actual=choice,
                supported=list(offered),
            )
        names = (choice,)
    for name in names:
        backbone = make_backbone()
        reference = reference_of(backbone) if reference_of else None
        try:
            runtime = MAKERS[name](backbone)
            found = compare(runtime, reference, dtype) if reference else None
        except (RuntimeError, ImportError) as error:
            log.warning("runtime %s does not work here: %s", name, error)
            continue
        if found is None or found.holds(exact_as(name, dtype)):
            return runtime, found
        log.warning("runtime %s is not used, it differs from the plain network: %s", name, found)
    raise EncoderUnavailable(
        f"no runtime agrees with the plain float32 network in {dtype_name(dtype)} "
        f"(tried {', '.join(names)}); dtype float32 would",
        actual=list(names),
    )
