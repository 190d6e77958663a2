"""``python -m benchmarks`` runs every benchmark, ``python -m benchmarks NAME`` one."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import (
    adapting,
    encoder,
    experiment,
    fidelity,
    headers,
    http,
    pictures,
    pixels,
    planning,
    prediction,
    profile,
    quality,
    throughput,
)

BENCHMARKS: dict[str, Callable[[], None]] = {
    "planning": planning.main,
    "experiment": experiment.main,
    "headers": headers.main,
    "http": http.main,
    "pixels": pixels.main,
    "pictures": pictures.main,
    "quality": quality.main,
    "fidelity": fidelity.main,
    "encoder": encoder.main,
    "profile": profile.main,
    "prediction": prediction.main,
    "throughput": throughput.main,
    "adapting": adapting.main,
}


def main() -> None:
    """Run the benchmarks named on the command line, or all of them."""
    names = sys.argv[1:] or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
