"""Vision tokens as a file: its bytes follow from what is in it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load, save

from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.encoder.encoder import VisionTokens
from app.serving.encode.encoding import EncodedImage, token_file, with_sorted_header

ROOT = Path(__file__).parents[2]


def encoded() -> EncodedImage:
    plan = make_plan(Size(640, 427), make_config(FAMILIES["molmo-7b-d-0924"]))
    tokens = torch.arange(704 * 4).view(704, 4).to(torch.bfloat16)
    image = VisionTokens(tokens, torch.arange(704))
    return EncodedImage(
        image, plan, "Gerät™ (2 cores)", "bfloat16", "random",
        decode_ms=1.0, preprocess_ms=1.0, queue_ms=1.0, encode_ms=1.0, pass_crops=7,
    )  # fmt: skip


def test_the_same_tokens_are_the_same_bytes() -> None:
    """In the same process, and in another, whose hashes are seeded otherwise."""
    files = {token_file(encoded()) for _ in range(8)}
    program = (
        "import hashlib; from tests.serving.test_token_file import encoded; "
        "from app.serving.encode.encoding import token_file; "
        "print(hashlib.sha256(token_file(encoded())).hexdigest())"
    )
    (file,) = files
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    digest = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONHASHSEED": seed},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert digest.strip() == hashlib.sha256(file).hexdigest()


def test_a_file_in_order_holds_what_it_held(tmp_path: Path) -> None:
    """Tensors and metadata are read back, and the header is sorted, metadata included."""
    tensors = {"b": torch.rand(3, 5), "a": torch.arange(7)}
    metadata = {name: f"ü{name}" for name in ("z", "y", "x", "k", "b")}
    file = with_sorted_header(save(tensors, metadata))
    assert all(torch.equal(tensors[name], found) for name, found in load(file).items())
    (tmp_path / "file").write_bytes(file)
    with safe_open(tmp_path / "file", framework="pt") as opened:
        assert opened.metadata() == metadata
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    assert list(header) == ["__metadata__", "a", "b"]
    assert list(header["__metadata__"]) == sorted(metadata)
