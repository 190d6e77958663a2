"""A whole profile, where only torch is: ``python -m benchmarks.profile --out DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.core.families import DEFAULT_FAMILY, family_named
from app.core.profile_file import save_profile
from app.encoder.device import choose_device, choose_dtype
from app.encoder.loading import load_encoder
from app.encoder.measure import default_repeats, measure_profile


def main(arguments: list[str] | None = None) -> None:
    """Measure every number of crops and save the profile under its own name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_FAMILY)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--counts", type=int, nargs="+", help="total crops; by default all")
    parser.add_argument("--repeats", type=int, help="by default 200 on a GPU, 5 on a CPU")
    parser.add_argument("--budget-s", type=float, default=60)
    options = parser.parse_args(arguments or [])
    device = choose_device()
    repeats = options.repeats or (200 if device.type == "cuda" else default_repeats(device))
    encoder = load_encoder(
        family_named(options.model),
        checkpoint=None,
        device=device,
        dtype=choose_dtype("auto", device),
    )
    print(f"Profile, {options.model}, runtime {encoder.runtime.name}")
    path = None
    for profile in measure_profile(encoder, options.counts, repeats, budget_s=options.budget_s):
        path = save_profile(profile, options.out)
        if profile.entries:
            entry = profile.entries[-1]
            print(f"  {entry.total_crops:>2} crops  p50 {entry.vision_ms.p50:.2f} ms")
    print(f"saved as {path.name if path else 'nothing'}")


if __name__ == "__main__":
    main(sys.argv[1:])
