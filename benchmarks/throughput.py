"""Measure batching across requests: the real server under clients, beside the encoder by itself.

Two figures are measured in alternating rounds of one run:

- *single-request latency*: one client alone over HTTP, beside one direct pass over its crops;
- *throughput under batching*: crops/s of many clients in a closed loop, beside the crops/s of the
  best fixed batch of the same images. Direct passes start from prepared crops. The server also
  decodes, prepares and answers on the same machine, and the ratio includes all this work.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from app.core.plan.config import make_config
from app.core.plan.families import Family
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.encoder.device.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.encoder import Encoder, PreparedCrops
from app.encoder.loading import load_encoder
from app.serving.encode.policy import near_best
from benchmarks.clients import Load, ask_alone, ask_together
from benchmarks.conditions import add_model, conditions, device_slug, family_of
from benchmarks.photos import SAMPLE, file_of
from benchmarks.serving import Server, serving
from benchmarks.timing import Budget, save, spread

SIZES = ("336x224", "504x336")
"""One and two grid crops: batching gains most for many small images."""
ROUND_SHARE = 0.9
"""A round starts only if it would end within this share of the budget, like the last round."""
PROCESSES = {"cpu": 1, "cuda": 6}
"""Processes of clients. One process would read the answers of a GPU slower than they come."""
RATIOS = ("latency_ratio", "throughput_ratio", "cpu_time_ratio")


def main(arguments: list[str] | None = None) -> None:
    """Print and save both figures and their ratios, after every round anew."""
    options = _options(arguments)
    budget = Budget(options.budget_s)
    family = family_of(options)
    device = choose_device()
    dtype = choose_dtype("auto", device)
    with Image.open(SAMPLE) as photo:
        resized = [photo.resize((size.width, size.height)) for size in options.sizes]
    images = [file_of(image, "JPEG", quality=90) for image in resized]
    encoder = load_encoder(family)
    print(
        f"Throughput, {family.name}, random weights, {device_name(device)}, {dtype_name(dtype)}, "
        f"runtime {encoder.runtime.name}"
    )
    prepared = [_prepare(encoder, image, family) for image in images]
    limit = options.batch_crops or _chosen_limit(encoder, prepared, options)
    print(f"  the server's passes have up to {limit} crops", flush=True)
    settings = {
        "model": family.name,
        "profile_on_start": "false",
        "encode_batch_crops": limit,
        "encode_timeout_s": 600,
        "log_level": "warning",  # a line an answer would be thousands on a GPU
    }
    told = {
        "model": family.name,
        **conditions(device),
        "dtype": dtype_name(dtype),
        "runtime": encoder.runtime.name,
        "images": [str(size) for size in options.sizes],
        "clients": options.clients,
        "client_processes": options.processes,
        "batch_crops": limit,
    }
    rounds: list[dict[str, Any]] = []
    module = "benchmarks.dry_server" if options.tiny else "app.cli"
    with serving(settings, module=module) as server:
        ask_alone(server, images[0])  # not counted
        while len(rounds) < options.rounds and _time_for_a_round(budget, rounds):
            began_s = budget.left_s
            rounds.append(_measure_round(server, encoder, images, prepared, options))
            rounds[-1]["seconds"] = began_s - budget.left_s
            save(_name(family, device), {**told, **_ratios(rounds), "rounds": rounds})
            _print_round(len(rounds), rounds[-1])
    if not rounds:
        raise SystemExit("no time was left for a round")
    _print_summary(_ratios(rounds), options.clients)
    print(f"  saved as benchmarks/results/{_name(family, device)}.json")


def _time_for_a_round(budget: Budget, rounds: Sequence[dict[str, Any]]) -> bool:
    """Return True if another round would end in time; the first round needs any time left."""
    needed_s = rounds[-1]["seconds"] if rounds else 0.0
    return needed_s < budget.left_s - budget.seconds * (1 - ROUND_SHARE)


def _ratios(rounds: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the known ratios over all rounds so far."""
    known = [name for name in RATIOS if rounds[0][name] is not None]
    return {name: spread([one[name] for one in rounds]) for name in known}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument(
        "--sizes", type=_size, nargs="+", default=[_size(size) for size in SIZES], metavar="WxH"
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--processes", type=int, help="that clients are in; by default by device")
    parser.add_argument("--seconds", type=float, default=60, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 2, 5, 10), help="in images")
    parser.add_argument(
        "--passes", type=int, default=2, help="over each fixed batch, twice a round"
    )
    parser.add_argument("--batch-crops", type=int, help="server's limit; by default as by profile")
    parser.add_argument("--budget-s", type=float, default=1800, help="no round would end after it")
    options = parser.parse_args(arguments)
    options.processes = options.processes or PROCESSES[choose_device().type]
    return options


def _size(text: str) -> Size:
    width, height = text.split("x")
    return Size(int(width), int(height))


def _prepare(encoder: Encoder, image: bytes, family: Family) -> PreparedCrops:
    pixels = np.asarray(Image.open(io.BytesIO(image)))
    plan = make_plan(Size(pixels.shape[1], pixels.shape[0]), make_config(family))
    return encoder.prepare(pixels, plan)


def _chosen_limit(
    encoder: Encoder, prepared: Sequence[PreparedCrops], options: argparse.Namespace
) -> int:
    """Choose the limit by the service's rule, from few passes instead of a whole profile."""
    fixed = [FixedBatch(encoder, in_turn(prepared, size)) for size in options.batches]
    FixedBatch(encoder, prepared).run()  # the very first pass is slower
    run_all(fixed, options.passes)
    return near_best({batch.crops: min(batch.samples_s) for batch in fixed})


def _measure_round(
    server: Server,
    encoder: Encoder,
    images: Sequence[bytes],
    prepared: Sequence[PreparedCrops],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Measure both figures once, with direct passes before and after the load against drift."""
    on_cpu = encoder.device.type == "cpu"
    single = FixedBatch(encoder, prepared[:1])
    fixed = [FixedBatch(encoder, in_turn(prepared, size)) for size in options.batches]
    alone = []
    for _ in range(options.passes):
        single.run()
        alone.append(ask_alone(server, images[0]))
    run_all(fixed, options.passes)
    load = ask_together(
        server, images, options.clients, options.seconds, processes=options.processes
    )
    run_all(fixed, options.passes)
    alone_ms = [answer.seconds * 1e3 for answer in alone]
    return {
        "direct_pass_ms": single.p50_s * 1e3,
        "alone_ms": statistics.median(alone_ms),
        "alone_samples_ms": alone_ms,
        "alone_stages_ms": [dict(answer.stages_ms) for answer in alone],
        "fixed": [batch.as_row() for batch in fixed],
        "load": _load_row(load),
        "latency_ratio": statistics.median(alone_ms) / (single.p50_s * 1e3),
        "throughput_ratio": load.crops_per_s / max(batch.crops_per_s for batch in fixed),
        "cpu_time_ratio": _cpu_time_ratio(fixed, load) if on_cpu else None,
    }


def _cpu_time_ratio(fixed: Sequence[FixedBatch], load: Load) -> float | None:
    """Return the ratio of crops per second of CPU time, less sensitive to other work."""
    if load.cpu_s_per_crop is None:
        return None
    return min(batch.cpu_s_per_crop for batch in fixed) / load.cpu_s_per_crop


def _load_row(load: Load) -> dict[str, Any]:
    latencies = [answer.seconds * 1e3 for answer in load.answers]
    return {
        "answers": len(load.answers),
        "seconds": load.seconds,
        "images_per_s": load.images_per_s,
        "crops_per_s": load.crops_per_s,
        "cpu_s": load.cpu_s,
        "answer_ms_p50": statistics.median(latencies),
        "answer_ms_max": max(latencies),
    }


def _print_round(number: int, one: dict[str, Any]) -> None:
    fixed = ", ".join(f"{batch['crops_per_s']:.2f} at {batch['crops']}" for batch in one["fixed"])
    load = one["load"]
    print(f"  round {number}, {one['seconds']:.0f} s")
    print(
        f"    alone over HTTP {one['alone_ms']:.1f} ms, direct pass {one['direct_pass_ms']:.1f} ms"
    )
    print(f"    fixed batches: {fixed} crops; crops/s")
    print(
        f"    clients: {load['crops_per_s']:.2f} crops/s, {load['images_per_s']:.2f} images/s; "
        f"{load['answers']} answers in {load['seconds']:.0f} s, "
        f"each after {load['answer_ms_p50']:.0f} ms (p50)",
        flush=True,
    )


def _print_summary(result: dict[str, Any], clients: int) -> None:
    latency, throughput = result["latency_ratio"], result["throughput_ratio"]
    print(
        f"  single-request latency: over HTTP / direct pass = {latency['median']:.3f} "
        f"({latency['min']:.3f} to {latency['max']:.3f})"
    )
    print(
        f"  throughput under batching: {clients} clients / best fixed batch = "
        f"{throughput['median']:.1%} ({throughput['min']:.1%} to {throughput['max']:.1%})"
    )
    if cpu_time := result.get("cpu_time_ratio"):
        print(
            f"    the same per second of CPU time: {cpu_time['median']:.1%} "
            f"({cpu_time['min']:.1%} to {cpu_time['max']:.1%})"
        )


def _name(family: Family, device: torch.device) -> str:
    version = torch.__version__.partition("+")[0]
    return f"throughput_{family.name}_{device_slug(device)}_torch-{version}"


class FixedBatch:
    """Time direct passes over the same images."""

    def __init__(self, encoder: Encoder, batch: Sequence[PreparedCrops]) -> None:
        self._encoder, self._batch = encoder, batch
        self.crops = sum(prepared.total_crops for prepared in batch)
        self.samples_s: list[float] = []
        self.cpu_s: list[float] = []

    def run(self) -> None:
        """Time one more pass."""
        began, cpu_before = time.perf_counter(), time.process_time()
        self._encoder.encode(self._batch)  # waits until the tokens are there
        self.samples_s.append(time.perf_counter() - began)
        self.cpu_s.append(time.process_time() - cpu_before)

    @property
    def p50_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def crops_per_s(self) -> float:
        return self.crops / self.p50_s

    @property
    def cpu_s_per_crop(self) -> float:
        return statistics.median(self.cpu_s) / self.crops

    def as_row(self) -> dict[str, Any]:
        """Return the row for the saved result."""
        return {
            "images": len(self._batch),
            "crops": self.crops,
            "crops_per_s": self.crops_per_s,
            "samples_s": self.samples_s,
            "cpu_s": self.cpu_s,
        }


def in_turn(prepared: Sequence[PreparedCrops], images: int) -> list[PreparedCrops]:
    """Return ``images`` images in turn, in the order of the clients."""
    return [prepared[number % len(prepared)] for number in range(images)]


def run_all(batches: Sequence[FixedBatch], passes: int) -> None:
    """Run ``passes`` passes of each batch, in turn."""
    for _ in range(passes):
        for batch in batches:
            batch.run()


if __name__ == "__main__":
    main()
