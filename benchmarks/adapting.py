"""Check the promises of ``POST /adapt`` for photos and budgets: predict, then measure.

A real server measures its own profile first. Every photo is adapted to every budget, and the
crops of the returned image are measured under the returned limit. These live latencies correct
later predictions. The result therefore has two figures: the prediction as given, and the prediction
of the profile alone.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from app.core.plan.families import DEFAULT_FAMILY
from app.encoder.device.device import choose_device
from benchmarks.clients import ANSWER_TIMEOUT_S
from benchmarks.conditions import conditions, result_name
from benchmarks.photos import SAMPLE
from benchmarks.serving import Server, serving
from benchmarks.timing import finish

SHARES = (0.2, 0.5, 0.8)
"""A budget lies at this share between the cheapest candidate and the photo as it is."""

PERCENTILE = 95


def main(arguments: list[str] | None = None) -> None:
    """Print and save every choice with its predicted and measured latencies."""
    options = _options(arguments)
    device = choose_device()
    settings = {
        "model": options.model,
        "profile_repeats": options.profile_repeats,
        "profile_budget_s": options.profile_budget_s,
        "measure_timeout_s": ANSWER_TIMEOUT_S,
        **({"profile_folder": options.profile_folder} if options.profile_folder else {}),
    }
    with serving(settings) as server:
        print("  measuring a profile…", flush=True)
        profile = server.wait_for_profile(options.profile_budget_s + 120)
        print(f"  {profile['device']}, {profile['dtype']}, {profile['runtime']}")
        rows = [
            row
            for photo in options.photos
            for row in _rows_of(server, photo, options.shares, options.repeats)
        ]
    shares = {
        "as_given": _shares(rows, corrected=True),
        "by_the_profile_alone": _shares(rows, corrected=False),
    }
    for name, held in shares.items():
        print(f"  {name.replace('_', ' ')}:")
        _print_shares(held)
    finish(
        result_name("adapting", device),
        {
            **conditions(device),
            "model": options.model,
            "percentile": PERCENTILE,
            "repeats": options.repeats,
            "profile": {
                name: profile[name] for name in ("measured_at", "rounds", "contended", "runtime")
            },
            "shares": shares,
            "rows": rows,
        },
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--model", default=DEFAULT_FAMILY)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--repeats", type=int, default=11, help="passes of each measurement")
    parser.add_argument("--profile-repeats", type=int, default=9)
    parser.add_argument("--profile-budget-s", type=float, default=900)
    parser.add_argument("--profile-folder", help="keeps the profile for another run")
    return parser.parse_args(arguments)


def _rows_of(
    server: Server, photo: Path, shares: Sequence[float], repeats: int
) -> list[dict[str, Any]]:
    data, headers = photo.read_bytes(), {"Content-Type": "image/jpeg", "Accept": "application/json"}
    with httpx.Client(base_url=server.url, timeout=ANSWER_TIMEOUT_S, headers=headers) as http:
        whole = _adapt(http, data, 1e9).json()
        as_it_is = whole["decision"]["latency_ms"]
        less = _adapt(http, data, as_it_is * 0.999).json()
        least = min(row["latency_ms"] for row in less["alternatives"])
        size = whole["plan"]["image"]
        print(
            f"  {photo.name}, {size['width']}x{size['height']}: {as_it_is:.0f} ms at "
            f"p{PERCENTILE} as it is, {least:.0f} at least"
        )
        budgets = [least + (as_it_is - least) * share for share in shares]
        return [_row(http, photo, data, budget, repeats) for budget in budgets]


def _row(
    http: httpx.Client, photo: Path, data: bytes, budget_ms: float, repeats: int
) -> dict[str, Any]:
    """Adapt a photo, then measure the returned image."""
    told = _adapt(http, data, budget_ms).json()
    image = _adapt(http, data, budget_ms, Accept="*/*")
    decision = told["decision"]
    limit = {"max_crops": image.headers["X-Max-Crops"]}
    predicted = _post(http, "/analyze", image.content, limit).json()
    measure = {**limit, "latency": "measure", "repeats": repeats}
    measured = _post(http, "/analyze", image.content, measure).json()
    assert measured["tiling"] == decision["tiling"], "the image does not plan to what was promised"
    row = {
        "photo": photo.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "budget_ms": budget_ms,
        "mode": decision["mode"],
        "max_crops": decision["max_crops"],
        "size": f"{decision['width']}x{decision['height']}",
        "tiling": f"{decision['tiling']['rows']}x{decision['tiling']['cols']}",
        "prompt_tokens": decision["prompt_tokens"],
        "image_quality": decision["image_quality"],
        "candidates": len(told["alternatives"]),
        "drift": told["profile"]["drift"],
        "predicted": predicted["latency"]["vision_ms"],
        "measured": measured["latency"]["vision_ms"],
    }
    _print_row(row)
    return row


def _adapt(http: httpx.Client, data: bytes, budget_ms: float, **headers: str) -> httpx.Response:
    asked = {"percentile": PERCENTILE, "latency_budget_ms": budget_ms}
    return _post(http, "/adapt", data, asked, **headers)


def _post(
    http: httpx.Client, path: str, data: bytes, parameters: Mapping[str, Any], **headers: str
) -> httpx.Response:
    answer = http.post(path, content=data, params=parameters, headers=headers)
    if answer.is_error:
        raise RuntimeError(answer.text)
    return answer


def _print_row(row: Mapping[str, Any]) -> None:
    predicted, measured, quality = row["predicted"], row["measured"], row["image_quality"]
    ssim = f", SSIM {quality['ssim']:.3f}" if quality else ""
    print(
        f"    {row['budget_ms']:6.0f} ms: {row['mode']:<9} {row['size']:>9} {row['tiling']:>4}"
        f"  p50 {predicted['p50']:5.0f} → {measured['p50']:5.0f}"
        f"  p95 {predicted['p95']:5.0f} → {measured['p95']:5.0f}{ssim}",
        flush=True,
    )


def _factor(row: Mapping[str, Any], corrected: bool) -> float:
    """Return the correction by live latencies, to be divided out of a prediction."""
    return 1.0 if corrected else row["drift"]["factor"] or 1.0


def _shares(rows: Sequence[Mapping[str, Any]], *, corrected: bool) -> dict[str, Any]:
    """Count the predictions within their limits, and summarise the errors.

    Args:
        corrected: take predictions as given, with drift; otherwise those of the profile alone.
    """

    def errors(percentile: str) -> list[float]:
        return [
            row["predicted"][percentile] / _factor(row, corrected) / row["measured"][percentile] - 1
            for row in rows
        ]

    at_p50, at_p95 = errors("p50"), errors("p95")
    return {
        "rows": len(rows),
        "p50_within_10_percent": statistics.mean(abs(error) <= 0.10 for error in at_p50),
        "p95_within_20_percent": statistics.mean(abs(error) <= 0.20 for error in at_p95),
        "p50_error_median": statistics.median(abs(error) for error in at_p50),
        "p50_error_max": max(abs(error) for error in at_p50),
        "p95_error_median": statistics.median(abs(error) for error in at_p95),
        "p95_error_max": max(abs(error) for error in at_p95),
        "measured_p95_within_budget": statistics.mean(
            row["measured"]["p95"] <= row["budget_ms"] for row in rows
        ),
    }


def _print_shares(shares: Mapping[str, Any]) -> None:
    for percentile, within in (("p50", 10), ("p95", 20)):
        print(
            f"    {percentile}: within {within} % in "
            f"{shares[f'{percentile}_within_{within}_percent']:.0%} of {shares['rows']}, "
            f"off by {shares[f'{percentile}_error_median']:.1%} at the median and "
            f"{shares[f'{percentile}_error_max']:.1%} at most"
        )
    print(f"    the measured p95 kept the budget in {shares['measured_p95_within_budget']:.0%}")


if __name__ == "__main__":
    main()
