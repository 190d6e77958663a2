"""What settings and command line choose from; where torch is, each is made."""

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
"""docs/method/runtimes.md says what each is; ``app.encoder.runtimes.choose`` makes them."""
