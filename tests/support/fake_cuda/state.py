"""What the card is, whether it still works, and what has been counted and told."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from dataclasses import dataclass

import torch

DEVICE = torch.device("cuda", 0)
LOCK = threading.RLock()
"""Held wherever clocks, memory and transfers change."""
STATS: Counter[str] = Counter()
PROBLEMS: list[str] = []
CudaError = getattr(torch, "AcceleratorError", RuntimeError)  # torch < 2.8 has a RuntimeError


@dataclass
class Card:
    """The card: a T4 is ``FAKE_CUDA_CAPABILITY=7.5``, a small card ``FAKE_CUDA_GIB=16``."""

    capability: tuple[int, ...] = tuple(
        int(part) for part in os.environ.get("FAKE_CUDA_CAPABILITY", "9.0").split(".")
    )
    bytes: int = int(float(os.environ.get("FAKE_CUDA_GIB", "139")) * 2**30)
    broken: bool = False
    """As after an illegal memory access: every later call of the process fails. SIGUSR1 sets it."""


CARD = Card()


class Properties:
    """As ``torch.cuda.get_device_properties`` gives them."""

    name = "make-believe GPU"
    major, minor = CARD.capability
    total_memory = CARD.bytes
    multi_processor_count, L2_cache_size, warp_size = 132, 60 * 2**20, 32
    regs_per_multiprocessor, max_threads_per_multi_processor = 65536, 2048
    uuid = "00000000-0000-0000-0000-000000000000"


def problem(text: str) -> None:
    """Tell what breaks a law of CUDA, once."""
    if text not in PROBLEMS:
        PROBLEMS.append(text)
        print(f"FAKE CUDA PROBLEM: {text}", file=sys.stderr, flush=True)


def check_works() -> None:
    """Fail as every call does once the context is broken."""
    if CARD.broken:
        raise CudaError("CUDA error: an illegal memory access was encountered")


def report() -> int:
    """Print what was counted and told; 1 where anything was told."""
    for name, count in sorted(STATS.items()):
        print(f"  {name:<44}{count}", file=sys.stderr)
    print(f"{len(PROBLEMS)} problems told", *PROBLEMS, sep="\n  ", file=sys.stderr)
    return 1 if PROBLEMS else 0
