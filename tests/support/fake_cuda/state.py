"""Hold the state of the card: its size, its failure, its counters, and the problems found."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from dataclasses import dataclass

import torch

DEVICE = torch.device("cuda", 0)
LOCK = threading.RLock()
"""Hold this lock to change clocks, memory or transfers."""
STATS: Counter[str] = Counter()
PROBLEMS: list[str] = []
CudaError = getattr(torch, "AcceleratorError", RuntimeError)  # torch < 2.8 has a RuntimeError


@dataclass
class Card:
    """Hold the card's size: ``FAKE_CUDA_CAPABILITY=7.5`` is a T4, ``FAKE_CUDA_GIB=16`` is small."""

    capability: tuple[int, ...] = tuple(
        int(part) for part in os.environ.get("FAKE_CUDA_CAPABILITY", "9.0").split(".")
    )
    bytes: int = int(float(os.environ.get("FAKE_CUDA_GIB", "139")) * 2**30)
    broken: bool = False
    """True after an illegal memory access: every later call fails. SIGUSR1 sets the flag."""


CARD = Card()


class Properties:
    """Stand for the result of ``torch.cuda.get_device_properties``."""

    name = "make-believe GPU"
    major, minor = CARD.capability
    total_memory = CARD.bytes
    multi_processor_count, L2_cache_size, warp_size = 132, 60 * 2**20, 32
    regs_per_multiprocessor, max_threads_per_multi_processor = 65536, 2048
    uuid = "00000000-0000-0000-0000-000000000000"


def problem(text: str) -> None:
    """Report a broken law of CUDA, once."""
    if text not in PROBLEMS:
        PROBLEMS.append(text)
        print(f"FAKE CUDA PROBLEM: {text}", file=sys.stderr, flush=True)


def check_works() -> None:
    """Fail like every call on a broken context."""
    if CARD.broken:
        raise CudaError("CUDA error: an illegal memory access was encountered")


def report() -> int:
    """Print counters and problems; return 1 if there are problems."""
    for name, count in sorted(STATS.items()):
        print(f"  {name:<44}{count}", file=sys.stderr)
    print(f"{len(PROBLEMS)} problems told", *PROBLEMS, sep="\n  ", file=sys.stderr)
    return 1 if PROBLEMS else 0
