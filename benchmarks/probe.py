"""Time the parts of a pass alone, each in several ways, beside the device's own rates.

``python -m benchmarks.probe [SECTION …]`` needs torch alone; ``--dry`` tries the code on a CPU.
Every line is printed and saved at once, and a section or a candidate that fails stops no other.
Candidates that are ours are those of ``app.encoder.runtimes.kernels``, where Triton is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, Family, family_named
from app.core.plan.work import connector_flops
from app.encoder.device.device import choose_device, elapsed_ms, mark, synchronise
from app.encoder.network.backbone import QUICK_GELU, VisionBackbone, written_out
from app.encoder.runtimes.compiler import kernels_here, why_no_compiler
from app.encoder.runtimes.fastest import KernelConnector
from app.encoder.runtimes.parts import add_after, add_within, normalise_plainly
from app.encoder.synthetic import profile_plans, random_backbone, synthetic_crops
from benchmarks.conditions import conditions, result_name, tiny
from benchmarks.timing import Budget, save

COUNTS = (1, 4, 7, 13)
TOKENS = (144, 480, 1152)
"""Patch tokens of 1, 4 and 13 crops."""
REPEATS = 15
CALLS_OF_A_GRAPH = 10
COPY_BYTES = 2**31

Work = Callable[[], object]
Candidates = Mapping[str, Work]


@dataclass(frozen=True, slots=True)
class Line:
    """Hold ways to do one thing; the thing itself needs ``flops`` or ``moved_bytes``."""

    what: str
    ways: Candidates
    flops: int = 0
    moved_bytes: int = 0
    in_graph: bool = True


@dataclass(slots=True)
class Bench:
    """Hold the probed device and dtype, and the shapes of one family."""

    device: torch.device
    dtype: torch.dtype
    family: Family
    kernels: ModuleType | None
    dry: bool = False
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def noise(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Make normal noise, because zeros would run faster."""
        return torch.randn(shape, device=self.device).to(dtype or self.dtype)

    def counts(self) -> tuple[int, ...]:
        return (1,) if self.dry else COUNTS

    def rows(self, crops: int) -> int:
        """Count the tokens of the vision transformer, as rows of a product."""
        patches = (self.family.crop_size_px // self.family.patch_size_px) ** 2
        return crops * (patches + self.family.vit.class_token)

    def our(self, name: str, *arguments: object, **options: object) -> Candidates:
        """Our own kernel of that name as a way named ``ours``, where there is one."""
        kernel = getattr(self.kernels, name, None)
        return {} if kernel is None else {"ours": partial(kernel, *arguments, **options)}

    def ms(self, work: Work, *, in_graph: bool) -> float:
        """Return the median ms of one call; on a GPU in a graph of ten, to exclude launches."""
        if self.device.type != "cuda":
            return self._median(work, 1, repeats=2)
        if not in_graph:
            return self._median(work, 1, repeats=REPEATS)
        return self._median(_captured(work), CALLS_OF_A_GRAPH, repeats=REPEATS)

    def _median(self, run: Work, calls: int, *, repeats: int) -> float:
        times = []
        for _ in range(repeats + 1):
            synchronise(self.device)
            start = mark(self.device)
            run()
            end = mark(self.device)
            synchronise(self.device)
            times.append(elapsed_ms(start, end) / calls)
        return statistics.median(times[1:])


def _captured(work: Work) -> Work:
    """Capture the same calls as a CUDA graph that keeps its inputs alive."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        kept = [work() for _ in range(CALLS_OF_A_GRAPH)]

    def replay() -> object:
        graph.replay()
        return kept

    return replay


def ceilings(bench: Bench) -> Iterator[Line]:
    """Time a large product, and copies in the device's memory and over the bus."""
    side = 256 if bench.dry else 8192
    a, b = bench.noise(side, side), bench.noise(side, side)
    yield Line(
        f"product of {side}³", {"mm": partial(torch.mm, a, b)}, flops=2 * side**3, in_graph=False
    )
    amount = 2**20 if bench.dry else COPY_BYTES
    source = torch.ones(amount, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    copy = partial(target.copy_, source)
    yield Line(
        f"copy of {amount >> 20} MiB", {"copy": copy}, moved_bytes=2 * amount, in_graph=False
    )
    some = min(amount, 2**25)
    pinned = torch.ones(some, dtype=torch.uint8, pin_memory=bench.device.type == "cuda")
    pageable = torch.ones(some, dtype=torch.uint8)
    yield Line(
        f"{some >> 20} MiB over the bus",
        {
            "up, pinned": partial(target[:some].copy_, pinned, non_blocking=True),
            "down, pinned": partial(pinned.copy_, source[:some], non_blocking=True),
            "down, pageable": partial(pageable.copy_, source[:some]),
        },
        moved_bytes=some,
        in_graph=False,
    )


def products(bench: Bench) -> Iterator[Line]:
    """Time each product of a block by itself, and with the operations it could include."""
    vit = bench.family.vit
    for crops in bench.counts():
        rows = bench.rows(crops)
        for name, inputs, outputs in (
            ("qkv", vit.width, 3 * vit.width),
            ("out", vit.width, vit.width),
            ("up", vit.width, vit.mlp_width),
            ("down", vit.mlp_width, vit.width),
        ):
            x, weight = bench.noise(rows, inputs), bench.noise(outputs, inputs)
            bias = bench.noise(outputs)
            yield Line(
                f"{name}, {crops} crops [{rows}×{inputs}]·[{outputs}]",
                {
                    "alone": partial(torch.mm, x, weight.t()),
                    "bias": partial(torch.addmm, bias, x, weight.t()),
                    **_epilogues(bench, name, x, weight, bias),
                },
                flops=2 * rows * inputs * outputs,
            )


def _epilogues(bench: Bench, name: str, x: Tensor, weight: Tensor, bias: Tensor) -> Candidates:
    rows, outputs = len(x), len(weight)
    if name in ("out", "down"):
        narrow, wide = bench.noise(rows, outputs), bench.noise(rows, outputs, dtype=torch.float32)
        return {
            "16-bit sum within": partial(torch.addmm, narrow, x, weight.t(), out=narrow),
            "float32 sum within": partial(add_within, wide, x, weight, 1.0),
            "float32 sum after": partial(add_after, wide, x, weight, 1.0),
        }
    if name == "up":
        return {
            "then silu": partial(_product_then_silu, x, weight, bias),
            "tanh-gelu within": partial(
                torch._addmm_activation, bias, x, weight.t(), use_gelu=True
            ),
            **_our_ups(bench, x, weight, bias),
        }
    return {}


def _our_ups(bench: Bench, x: Tensor, weight: Tensor, bias: Tensor) -> Candidates:
    """Our product with quick-GELU in it, by each of its tiles."""
    kernels = bench.kernels
    if kernels is None:
        return {}
    return {
        f"ours {tile[0]}x{tile[1]}": partial(kernels.up, x, weight, bias, quick=True, tile=tile)
        for tile in kernels.TILES
    }


def _product_then_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.silu(torch.addmm(bias, x, weight.t(), alpha=QUICK_GELU), inplace=True)


def attention(bench: Bench) -> Iterator[Line]:
    """Time the vision transformer's attention by each of torch's backends, for both generations."""
    for family in _generations(bench):
        vit = family.vit
        tokens = (family.crop_size_px // family.patch_size_px) ** 2 + vit.class_token
        for crops in bench.counts():
            qkv = bench.noise(crops, tokens, 3, vit.heads, vit.head_width)
            query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            ways = {
                backend.name.removesuffix("_ATTENTION").lower(): partial(
                    _attend, backend, query, key, value
                )
                for backend in _backends(bench)
            }
            work = 4 * crops * vit.heads * tokens**2 * vit.head_width
            yield Line(f"{tokens} tokens of {crops} crops", ways, flops=work)


def _generations(bench: Bench) -> list[Family]:
    other = family_named("molmo2-4b")
    return [bench.family, tiny(other) if bench.dry else other]


def _backends(bench: Bench) -> list[SDPBackend]:
    fused = [SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    return [SDPBackend.FLASH_ATTENTION, *(fused if bench.device.type == "cuda" else ())]


def _attend(backend: SDPBackend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return functional.scaled_dot_product_attention(query, key, value)


def between(bench: Bench) -> Iterator[Line]:
    """Time the operations between two products of a block: only memory bounds them."""
    vit = bench.family.vit
    width, values = vit.width, bench.dtype.itemsize
    norm = nn.LayerNorm(width, eps=vit.norm_eps, device=bench.device, dtype=bench.dtype)
    shift = bench.noise(width, dtype=torch.float32)
    for crops in bench.counts():
        rows = bench.rows(crops)
        hidden, narrow = bench.noise(rows, vit.mlp_width), bench.noise(rows, width)
        wide, out = bench.noise(rows, width, dtype=torch.float32), bench.noise(rows, width)
        yield Line(
            f"silu in place, {crops} crops",
            {"silu": partial(functional.silu, hidden, inplace=True)},
            moved_bytes=2 * values * hidden.numel(),
        )
        yield Line(
            f"norm of a float32 sum, {crops} crops",
            {
                "narrowed, then norm": partial(normalise_plainly, wide, shift, norm),
                **bench.our("norm", wide, shift, norm.weight, norm.bias, norm.eps),
            },
            moved_bytes=(4 + values) * wide.numel(),
        )
        yield Line(
            f"norm of a narrow sum, {crops} crops",
            {"norm": partial(norm, narrow)},
            moved_bytes=2 * values * narrow.numel(),
        )
        yield Line(
            f"sum by itself, {crops} crops",
            {"narrow": partial(narrow.add_, out), "float32": partial(wide.add_, out)},
            moved_bytes=3 * values * narrow.numel(),
        )


def connector(bench: Bench) -> Iterator[Line]:
    """Time the connector as a whole, then its pooling attention and the projector's first part."""
    backbone = random_backbone(bench.family, bench.device, bench.dtype)
    vit, hidden = bench.family.vit, bench.family.connector.projector_hidden
    gate, up = bench.noise(hidden, vit.width), bench.noise(hidden, vit.width)
    both = torch.cat([gate, up])
    for crops in bench.counts():
        yield _whole_connector(bench, backbone, crops)
    for tokens in TOKENS[:1] if bench.dry else TOKENS:
        rows, products = bench.noise(tokens, vit.width), bench.noise(tokens, 2 * hidden)
        key_value = bench.noise(tokens, 4, 2 * vit.width)
        index = torch.arange(4 * tokens, device=bench.device).view(tokens, 4)
        yield Line(
            f"pooling attention, {tokens} tokens",
            {
                "sdpa": partial(_pool_sdpa, rows, key_value, vit.heads),
                "written out": partial(_pool_written_out, rows, key_value, vit.heads),
                **bench.our("pool", rows, key_value, index, heads=vit.heads, masked=False),
            },
            moved_bytes=bench.dtype.itemsize * (2 * rows.numel() + key_value.numel()),
        )
        yield Line(
            f"gate and up, {tokens} tokens",
            {
                "two products": partial(_two, rows, gate, up),
                "one": partial(functional.linear, rows, both),
            },
            flops=4 * tokens * vit.width * hidden,
        )
        yield Line(
            f"swiglu, {tokens} tokens",
            {"silu and product": partial(_swiglu, products), **bench.our("swiglu", products)},
            moved_bytes=3 * bench.dtype.itemsize * tokens * hidden,
        )
        yield _new_counts(bench, tokens)


def _whole_connector(bench: Bench, backbone: VisionBackbone, crops: int) -> Line:
    """Time the plain operations and our kernels, outside of a graph, as in the service."""
    (plan,) = profile_plans(make_config(bench.family), [crops])
    inputs = synthetic_crops(plan, bench.device, bench.dtype)
    width = backbone.pooling.query.in_features
    features = bench.noise(*inputs.patches.shape[:2], width)
    read = features, inputs.pool_index, inputs.padding_state
    ways: dict[str, Work] = {"plain": partial(backbone.connect, *read)}
    if bench.kernels is not None:
        ways["ours"] = partial(KernelConnector(backbone, bench.kernels), *read)
    flops = connector_flops(bench.family, plan.patch_tokens)
    return Line(f"connector of {crops} crops", ways, flops=flops, in_graph=False)


def _new_counts(bench: Bench, tokens: int) -> Line:
    """Time the first call at new numbers of tokens, because some backends plan them anew."""
    vit = bench.family.vit
    more = iter(range(tokens + 1, tokens + 100))

    def call(pool: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
        count = next(more)
        key_value = bench.noise(count, 4, 2 * vit.width)
        return pool(bench.noise(count, vit.width), key_value, vit.heads)

    ways = {"sdpa": partial(call, _pool_sdpa), "written out": partial(call, _pool_written_out)}
    return Line(f"pooling attention, a new number near {tokens} tokens", ways, in_graph=False)


def _pool_sdpa(query: Tensor, key_value: Tensor, heads: int) -> Tensor:
    """Attention of queries [N, D] over keys and values [N, 4, 2 · D]."""
    key, value = key_value.view(*key_value.shape[:2], 2, heads, -1).permute(2, 0, 3, 1, 4)
    asked = query.view(len(query), heads, 1, -1)
    return functional.scaled_dot_product_attention(asked, key, value).flatten(1)


def _pool_written_out(query: Tensor, key_value: Tensor, heads: int) -> Tensor:
    key, value = key_value.view(*key_value.shape[:2], 2, heads, -1).unbind(2)
    asked = query.view(len(query), 1, heads, -1)
    return written_out(asked, key, value, None).flatten(1)


def _two(x: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    return functional.linear(x, gate), functional.linear(x, up)


def _swiglu(products: Tensor) -> Tensor:
    gate, up = products.chunk(2, dim=-1)
    return functional.silu(gate) * up


SECTIONS: Mapping[str, Callable[[Bench], Iterator[Line]]] = {
    "ceilings": ceilings,
    "products": products,
    "attention": attention,
    "between": between,
    "connector": connector,
}


def main(arguments: list[str] | None = None) -> None:
    """Print and save a line for every thing that is done in several ways."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", default=list(SECTIONS))
    parser.add_argument("--dry", action="store_true", help="a tiny network and few repeats")
    parser.add_argument("--budget-s", type=float, default=100, help="no line is begun after this")
    options = parser.parse_args(arguments)
    budget, device = Budget(options.budget_s), choose_device()
    family = family_named(DEFAULT_FAMILY)
    bench = Bench(
        device,
        torch.bfloat16,
        tiny(family) if options.dry else family,
        our_kernels(),
        dry=options.dry,
    )
    print(f"Probe, {bench.family.name}, {conditions(device)}")
    for name in options.sections:
        began = time.monotonic()
        print(f"{name}")
        for said in probe(bench, name, budget):
            print(f"  {said}", flush=True)
            save(result_name("probe", device), {**conditions(device), "found": bench.found})
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


def our_kernels() -> ModuleType | None:
    """Import our own kernels; None where they cannot be compiled."""
    kernels = kernels_here()
    if kernels is None:
        print(f"no kernels of our own: {why_no_compiler() or 'no Triton'}")
    return kernels


@torch.inference_mode()
def probe(bench: Bench, section: str, budget: Budget) -> Iterator[str]:
    """Time all ways of all lines of a section; a sentence for each line."""
    found = bench.found.setdefault(section, {})
    try:
        for line in SECTIONS[section](bench):
            if budget.spent():
                yield "no time was left"
                return
            found[line.what] = {name: _try(bench, line, way) for name, way in line.ways.items()}
            yield f"{line.what:<52}" + "  ".join(
                f"{name} {_shown(line, result)}" for name, result in found[line.what].items()
            )
    except Exception as error:  # the other sections are worth as much
        found["failed"] = f"{type(error).__name__}: {error}"
        yield f"FAILED: {found['failed']}"


def _try(bench: Bench, line: Line, way: Work) -> dict[str, Any]:
    """Return the ms and the rate of the needed work, or the reason why a way fails here."""
    try:
        ms = bench.ms(way, in_graph=line.in_graph)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {
        "ms": ms,
        "tflop_per_s": line.flops / ms / 1e9 if line.flops else None,
        "tb_per_s": line.moved_bytes / ms / 1e9 if line.moved_bytes else None,
    }


def _shown(line: Line, result: Mapping[str, Any]) -> str:
    if "failed" in result:
        return f"FAILED ({result['failed'][:60]})"
    rate = ""
    if line.flops:
        rate = f" {result['tflop_per_s']:.0f} TFLOP/s"
    elif line.moved_bytes:
        rate = f" {result['tb_per_s']:.2f} TB/s"
    return f"{result['ms'] * 1e3:.1f} us{rate}"


if __name__ == "__main__":
    main()
