"""Measure a whole profile with torch alone: ``python -m benchmarks.profile --out DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.core.errors import EncoderError
from app.core.latency.profile import Profile
from app.encoder.loading import load_encoder
from app.encoder.measuring.measure import measure_profile
from app.profiles import save_profile
from benchmarks.conditions import add_model, family_of
from benchmarks.timing import RESULTS


def main(arguments: list[str] | None = None) -> None:
    """Measure every number of crops, and save the growing profile under its own name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    add_model(parser)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--counts", type=int, nargs="+", help="total crops; by default all")
    parser.add_argument("--repeats", type=int, help="at most; by default 200 on a GPU, 7 on a CPU")
    parser.add_argument("--budget-s", type=float, default=60)
    options = parser.parse_args(arguments)
    encoder = load_encoder(family_of(options))
    print(f"Profile, {options.model}, runtime {encoder.runtime.name}", flush=True)
    try:
        for profile in measure_profile(
            encoder, options.counts, options.repeats, budget_s=options.budget_s
        ):
            saved = save_profile(profile, options.out)
    except EncoderError as error:
        raise SystemExit(error.detail) from None
    _show(profile)
    print(f"saved as {saved.name}")


def _show(profile: Profile) -> None:
    for entry in profile.entries:
        fraction = entry.fraction_of_floor(profile.matmul_gflop_per_s)
        print(
            f"  {entry.total_crops:>2} crops  p50 {entry.vision_ms.p50:9.2f} ms "
            f"({entry.vision_ms.p50_low:.2f} to {entry.vision_ms.p50_high:.2f})  "
            f"p95 {entry.vision_ms.p95:9.2f}  {entry.gflop_per_s:8.0f} GFLOP/s"
            + ("" if fraction is None else f", {fraction:.0%} of a large product")
        )
    if not profile.complete:
        print("not complete: the budget was spent")
    if profile.contended:
        print(f"in doubt: {profile.contended}")


if __name__ == "__main__":
    main()
