"""Measure the CPU time of a request, beside bare FastAPI endpoints in the same run.

Each figure is the CPU time of the server's process (user and kernel, from /proc) over its answered
requests. ``wrk`` loads one row after the other, in shuffled rounds. The service runs with its
defaults, and its access log goes to /dev/null. It has no encoder: latency comes from a saved
profile. Two rows are compared only with a like number of page faults.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from app.core.statistics import Comparison, shuffled_rounds
from app.encoder.device.device import device_name
from benchmarks import wrk
from benchmarks.conditions import device_slug
from benchmarks.http_rows import RATIOS, Row, rows_of, started
from benchmarks.serving import Server
from benchmarks.timing import RESULTS, save

CPU = torch.device("cpu")
FEW_FAULTS = 5
"""Page faults of a request, of about 2 µs each; fewer do not decide a comparison."""
WARM_UP_S = 3
"""A server at work has its breakpoints and its memory."""
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic")


def main(arguments: list[str] | None = None) -> None:
    """Print and save the figures."""
    options = _options(arguments)
    if not wrk.is_installed():
        print("HTTP: left out, as there is no wrk on PATH (Debian: apt-get install wrk)")
        return
    with started(options.profile) as servers:
        rows = rows_of(servers)
        for row in rows.values():
            _measure(row, WARM_UP_S)
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
        for order in shuffled_rounds(list(rows), options.rounds):
            for name in order:
                figures[name].append(_measure(rows[name], options.seconds))
    _report(figures, options)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of load on each row in each round")
    parser.add_argument(
        "--profile",
        type=Path,
        default=next(iter(sorted(RESULTS.glob("profile_*.json")))),
        help="a saved profile, which latencies come from",
    )
    return parser.parse_args(arguments or [])


def _measure(row: Row, seconds: int) -> dict[str, float]:
    """Load one row and return its figures.

    Raises:
        RuntimeError: the new requests ran out, and some were sent twice.
    """
    requests = row.requests_for(seconds)
    cpu_s, faults = _spent(row.server)
    answered = wrk.load(row.server.url, requests, seconds)
    cpu_s_after, faults_after = _spent(row.server)
    # wrk makes one to look at, and has one on its way on each connection when the time is over.
    if row.new and answered.requests + wrk.CONNECTIONS + 1 > len(requests):
        raise RuntimeError(f"{answered.requests} answers, but only {len(requests)} new requests")
    return {
        "cpu_us": (cpu_s_after - cpu_s) / answered.requests * 1e6,
        "page_faults": (faults_after - faults) / answered.requests,
        "requests_per_s": answered.requests / answered.seconds,
        "p50_us": answered.p50_us,
    }


def _spent(server: Server) -> tuple[float, int]:
    cpu_s, faults = server.cpu_s(), server.page_faults()
    if cpu_s is None or faults is None:
        raise SystemExit("this benchmark reads CPU time from Linux's /proc")
    return cpu_s, faults


def _report(figures: Mapping[str, Sequence[dict[str, float]]], options: argparse.Namespace) -> None:
    print(f"HTTP, {wrk.CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s")
    cpu_us = {name: [one["cpu_us"] for one in rounds] for name, rounds in figures.items()}
    faults = {name: _median(rounds, "page_faults") for name, rounds in figures.items()}
    for name, rounds in figures.items():
        print(
            f"  {name:<46}{_median(rounds, 'cpu_us'):9.1f} µs of CPU"
            f"{_median(rounds, 'requests_per_s'):9.0f} requests/s{faults[name]:8.1f} page faults"
        )
    ratios = []
    for name, over, most in RATIOS:
        found = Comparison.paired(cpu_us[name], cpu_us[over])
        verdict = f"; {_verdict(found, most)}" if most else ""
        if most and abs(faults[name] - faults[over]) > FEW_FAULTS:
            verdict += f", but with {faults[name]:.0f} page faults over {faults[over]:.0f}"
        print(
            f"  {name} / {over}: {found.ratio:.2f} ({found.low:.2f} to {found.high:.2f}){verdict}"
        )
        ratios.append(
            {
                "of": name,
                "over": over,
                "ratio": found.ratio,
                "low": found.low,
                "high": found.high,
                "at_most": most,
            }
        )
    result = {
        "device": device_name(CPU),
        "versions": {name: version(name) for name in PACKAGES},
        "connections": wrk.CONNECTIONS,
        "seconds": options.seconds,
        "profile": options.profile.name,
        "ratios": ratios,
        "rounds": figures,
    }
    path = save(f"http_{device_slug(CPU)}_uvicorn-{version('uvicorn')}", result)
    print(f"  saved as benchmarks/results/{path.name}")


def _median(rounds: Sequence[dict[str, float]], key: str) -> float:
    return statistics.median(one[key] for one in rounds)


def _verdict(found: Comparison, most: float) -> str:
    kept = "kept" if found.high <= most else "missed" if found.low > most else "not decided"
    return f"at most {most:g} is asked for: {kept}"


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
