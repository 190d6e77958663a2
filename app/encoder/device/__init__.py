"""Choose the device of an encoder, and handle its clock, failures, memory and threads.

The types here are the choices of the settings and the command line, without an import of torch.
"""

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
