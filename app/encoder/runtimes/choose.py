"""Choose the fastest runtime of this machine that agrees with the plain network.

Measured gains are in docs/method/runtimes.md.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch

from app.core.errors import (
    EncoderError,
    EncoderUnavailable,
    OutOfDeviceMemory,
    RuntimesDisagree,
)
from app.encoder.device import RuntimeChoice
from app.encoder.device.device import dtype_name, multiplies_int8
from app.encoder.device.memory import give_back, in_device_memory
from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes.base import Eager, Maker, Runtime, Sample, without_sample
from app.encoder.runtimes.fidelity import Reference, StageAgreement, compare, plain_reference
from app.encoder.runtimes.graphs import CudaGraphs, compiled_graphs, fp8_graphs
from app.encoder.runtimes.openvino import TYPES, OpenVino, OpenVinoInt8, openvino_installed
from app.encoder.runtimes.packed import Packed, can_pack

MAKERS: Mapping[str, Maker] = {
    "eager": without_sample(Eager),
    "packed": without_sample(Packed),
    "openvino": without_sample(OpenVino),
    "openvino-int8": OpenVinoInt8,
    "cuda-graphs": without_sample(CudaGraphs),
    "cuda-graphs-fp8": without_sample(fp8_graphs),
    "compiled": without_sample(compiled_graphs),
}

COARSER: Mapping[str, torch.dtype] = {
    "openvino-int8": torch.int8,
    "cuda-graphs-fp8": torch.float8_e4m3fn,
}
"""Runtimes that are held to the error limits of this dtype, and used only by their name."""

CHECKED_COUNTS: Mapping[str, tuple[int, ...]] = {"cuda": (13, 7, 4, 2, 1), "cpu": (1,)}
"""Crops in the passes of the check, by kind of device. CUDA: every count with its own choice of
parts, the largest captured count first. CPU: the one crop of the sample."""

log = logging.getLogger(__name__)


class Made(NamedTuple):
    """Hold a runtime, and its agreement with the plain network; None if not compared."""

    runtime: Runtime
    found: StageAgreement | None


def available(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """List the runtimes for this device, in the order of trial; ``eager`` works everywhere."""
    if device.type == "cuda":
        return ("cuda-graphs", "eager")
    on_cpu = device.type == "cpu"
    names = {
        "openvino": on_cpu and openvino_installed() and dtype in TYPES,
        "packed": on_cpu and can_pack(dtype),
        "eager": True,
    }
    return tuple(name for name, works in names.items() if works)


def on_request(device: torch.device) -> tuple[str, ...]:
    """List the runtimes for this device that are used only by their name.

    Some are coarser than their dtype (:data:`COARSER`). int8 needs a CPU that sums int8 products
    without loss. ``compiled`` takes a minute to make.
    """
    if device.type == "cuda":
        return ("cuda-graphs-fp8", "compiled")
    works = device.type == "cpu" and openvino_installed() and multiplies_int8()
    return ("openvino-int8",) if works else ()


def exact_as(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return the dtype for the error limits of a runtime with weights in ``dtype``."""
    return COARSER.get(name, dtype)


def choose(
    choice: RuntimeChoice,
    make_backbone: Callable[[], VisionBackbone],
    sample: Sample,
    device: torch.device,
    dtype: torch.dtype,
    *,
    check: bool = True,
) -> Made:
    """Make the fastest runtime that agrees with the plain float32 network.

    With a name, only the named runtime is tried. If no runtime keeps the limits of ``dtype``, the
    first runtime nearer to float32 than the plain network in ``dtype`` is taken.

    Args:
        make_backbone: makes the weights, again for every further trial.
        sample: the crops of the comparison.
        check: if False, no runtime is compared.

    Raises:
        EncoderUnavailable: the named runtime cannot work here.
        RuntimesDisagree: the working runtimes are not exact enough.
        OutOfDeviceMemory: a runtime did not fit the device's memory, and no other was taken.
    """
    names = _names(choice, device, dtype)
    trials = _Trials(make_backbone, sample, device, dtype, check=check)
    for name in names:
        made = trials.make(name)
        if made is not None and (made.found is None or made.found.holds(exact_as(name, dtype))):
            return made
        del made  # before the next one's weights are made
        trials.give_up(name)
    for name in trials.nearer_than_plain():
        made = trials.make(name)
        if made is not None:
            log.warning("runtime %s is over the limits, but nearer than the plain network", name)
            return made
    raise trials.failure()


def _names(choice: RuntimeChoice, device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """List the runtimes to try, the fastest first."""
    names = available(device, dtype)
    if choice == "auto":
        return names
    offered = (*names, *on_request(device))
    if choice not in offered:
        raise EncoderUnavailable(
            f"runtime {choice} does not work on {device.type} here; there is {', '.join(offered)}",
            actual=choice,
            supported=list(offered),
        )
    return (choice,)


class _Trials:
    """Try runtimes one after the other, and record only the agreement or failure of each."""

    def __init__(
        self,
        make_backbone: Callable[[], VisionBackbone],
        sample: Sample,
        device: torch.device,
        dtype: torch.dtype,
        *,
        check: bool,
    ) -> None:
        self._make_backbone = make_backbone
        self._sample = sample
        self._device, self._dtype = device, dtype
        self._check = check
        self._reference: Reference | None = None
        self._found: dict[str, StageAgreement] = {}
        self._reasons: dict[str, str] = {}
        self._out_of_memory = False

    def make(self, name: str) -> Made | None:
        """Make and compare a runtime; None after a failure."""
        try:
            made = in_device_memory(partial(self._make, name))
        except OutOfDeviceMemory as error:
            self._out_of_memory = True
            self._reasons[name] = error.detail
            return None
        except (RuntimeError, ImportError) as error:
            self._reasons[name] = f"does not work here: {error}"
            return None
        if made.found is not None:
            self._found[name] = made.found
            self._reasons[name] = f"differs from the plain network: {made.found}"
        return made

    def _make(self, name: str) -> Made:
        backbone = self._make_backbone()
        if self._check and self._reference is None:
            self._reference = plain_reference(backbone, self._sample)
        runtime = MAKERS[name](backbone, self._sample)
        if self._reference is None:
            return Made(runtime, None)
        counts = CHECKED_COUNTS[self._device.type]
        return Made(runtime, compare(runtime, self._reference, self._dtype, counts))

    def give_up(self, name: str) -> None:
        """Log the reason against a runtime, and free its memory."""
        log.warning("runtime %s is not used: %s", name, self._reasons[name])
        give_back()

    def nearer_than_plain(self) -> tuple[str, ...]:
        """List the tried runtimes nearer to float32 than the plain network in the same dtype."""
        tried = [name for name in self._found if name not in COARSER]
        if not tried or self._dtype == torch.float32:
            return ()
        if "eager" not in self._found:
            self.make("eager")
            self.give_up("eager")
        plain = self._found.get("eager")
        if plain is None:
            return ()
        return tuple(name for name in tried if self._found[name].holds_beside(plain, self._dtype))

    def failure(self) -> EncoderError:
        """Make the error for the lack of a runtime, with the reason against each."""
        told = "; ".join(f"{name} {reason}" for name, reason in self._reasons.items())
        facts = {"actual": list(self._reasons), "tried": dict(self._reasons)}
        if self._out_of_memory:
            return OutOfDeviceMemory(
                f"the encoder does not fit the device's memory: {told}", **facts
            )
        dtype = dtype_name(self._dtype)
        if not self._found:
            return EncoderUnavailable(f"no runtime works in {dtype} here: {told}", **facts)
        return RuntimesDisagree(
            f"no runtime agrees with the plain float32 network in {dtype} ({told})"
            f"{self._what_would()}",
            **facts,
        )

    def _what_would(self) -> str:
        if not set(self._found) - set(COARSER):
            return "; another runtime would"
        return "" if self._dtype == torch.float32 else "; dtype float32 would"
