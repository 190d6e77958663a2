"""The encoder's result read against what it was meant to reach on an H200.

``python -m benchmarks.aims FILE.json`` reads a saved result of :mod:`benchmarks.encoder` again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

AIMS = {1: 0.43, 4: 0.60, 7: 0.70, 9: 0.70, 12: 0.70, 13: 0.67}
"""By total crops: the share of the device's own matrix rate, with the connector."""

Row = Mapping[str, Any]


def against_aims(result: Mapping[str, Any]) -> Iterator[str]:
    """Our runtime beside floor, aim and the nearest rival, line by line, and the largest miss.

    Aims are those of one GPU: there are no lines for a result from a CPU, or without ours.
    """
    rows: Sequence[Row] = [row for row in result["rows"] if row["ms"] is not None]
    ours = {
        row["total_crops"]: row
        for row in rows
        if row["variant"] == result["ours"] and row["scope"] == "vision"
    }
    aimed = [crops for crops in AIMS if crops in ours]
    if result["cuda"] is None or not aimed:
        return
    yield f"{result['ours']} against its aims: {'p50 ms':>10}{'floor ms':>10}{'share':>7}{'aim':>6}"
    for crops in aimed:
        row = ours[crops]
        yield (
            f"{crops:>5} crops {row['ms']['p50']:>{len(result['ours']) + 18}.3f}"
            f"{row['floor_ms']:>10.3f}{row['fraction']:>7.0%}{AIMS[crops]:>6.0%}"
            f"  {_nearest_rival(rows, crops)}"
        )
    yield _largest_miss(ours, aimed)


def _nearest_rival(rows: Sequence[Row], crops: int) -> str:
    """The variant with the least ratio to ours; what the ratio is over is named."""
    rivals = [row for row in rows if row["total_crops"] == crops and row["ratio"] is not None]
    if not rivals:
        return "no rival"
    nearest = min(rivals, key=lambda row: float(row["ratio"]["ratio"]))
    ratio = nearest["ratio"]
    return (
        f"nearest: {nearest['variant']} ({nearest['scope']}), {ratio['ratio']:.2f}x "
        f"({ratio['low']:.2f} to {ratio['high']:.2f})"
    )


def _largest_miss(ours: Mapping[int, Row], aimed: Sequence[int]) -> str:
    def short(crops: int) -> float:
        return AIMS[crops] - float(ours[crops]["fraction"])

    worst = max(aimed, key=short)
    if short(worst) <= 0:
        return f"no aim is missed; the nearest is that of {worst} crops"
    return (
        f"the largest miss is at {worst} crops: {ours[worst]['fraction']:.0%} where "
        f"{AIMS[worst]:.0%} was aimed at"
    )


if __name__ == "__main__":
    for found in against_aims(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))):
        print(found)
