"""List the choices of the settings and the command line, without an import of torch."""

from __future__ import annotations

from typing import Literal

DeviceChoice = Literal["auto", "cpu", "cuda"]
DtypeChoice = Literal["auto", "float32", "bfloat16", "float16"]
RuntimeChoice = Literal[
    "auto",
    "eager",
    "packed",
    "openvino",
    "openvino-int8",
    "cuda-graphs",
    "cuda-graphs-fp8",
    "compiled",
]
"""docs/method/runtimes.md explains each runtime; ``app.encoder.runtimes.choose`` makes them."""
