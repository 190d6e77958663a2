"""Run every benchmark with ``python -m benchmarks``, or one with ``python -m benchmarks NAME``."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    "planning",
    "experiment",
    "headers",
    "http",
    "pixels",
    "pictures",
    "quality",
    "fidelity",
    "encoder",
    "profile",
    "prediction",
    "throughput",
    "adapting",
)


def main() -> None:
    """Run the benchmarks named on the command line, or all of them."""
    names = sys.argv[1:] or NAMES
    del sys.argv[1:]  # every benchmark reads its own options from there
    for name in names:
        if name not in NAMES:
            sys.exit(f"no benchmark {name!r}; there are {', '.join(NAMES)}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
