from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from app.core.errors import CheckpointError
from app.core.plan.families import FAMILIES, family_named
from app.core.plan.work import weights_bytes
from app.encoder.network.backbone import VisionBackbone, meta_backbone
from app.encoder.network.checkpoint import (
    INDEX_FILE,
    PREFIX,
    check_config,
    expected_tensors,
    load_checkpoint,
)
from tests.encoder.reference import CPU, Vectors, write_checkpoint

WQ = f"{PREFIX}image_vit.transformer.resblocks.0.attention.wq.weight"


def load(vectors: Vectors, folder: Path) -> VisionBackbone:
    return load_checkpoint(folder, vectors.family, CPU, torch.float32)


def write_shards(folder: Path, weights: dict[str, Tensor]) -> Path:
    """Two shards of vision tensors and an index that also names a shard that is not there."""
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    weight_map["model.transformer.wte.weight"] = "language-only.safetensors"
    (folder / INDEX_FILE).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def equal(one: VisionBackbone, other: VisionBackbone) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_names_and_shapes_of_molmo_7b_d() -> None:
    """The published checkpoint has 385 vision tensors, block 22 among them."""
    expected = expected_tensors(family_named("molmo-7b-d-0924"))
    assert len(expected) == 385
    assert expected[f"{PREFIX}pad_embed"] == (2, 2048)
    assert expected[f"{PREFIX}image_vit.positional_embedding"] == (577, 1024)
    assert expected[f"{PREFIX}image_pooling_2d.wk.weight"] == (1024, 2048)
    assert expected[f"{PREFIX}image_projector.w2.weight"] == (3584, 18944)
    assert f"{PREFIX}image_vit.transformer.resblocks.22.feed_forward.w1.bias" in expected


@pytest.mark.parametrize("generation", ["molmo1", "molmo2"])
def test_expected_tensors_are_those_of_the_released_code(
    generation: str, request: pytest.FixtureRequest
) -> None:
    """Names and shapes agree with a state the reference itself wrote."""
    vectors: Vectors = request.getfixturevalue(generation)
    stored = {name: tuple(tensor.shape) for name, tensor in vectors.weights.items()}
    assert expected_tensors(vectors.family) == stored


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_names(name: str) -> None:
    """All parameters of all families have published names, each name once."""
    family = family_named(name)
    assert len(expected_tensors(family)) == (385 if family.generation == 1 else 414)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_network_has_the_weights_that_are_needed(name: str) -> None:
    """Its parameters take just the bytes that the cost model says are needed."""
    family = family_named(name)
    values = sum(parameter.numel() for parameter in meta_backbone(family).parameters())
    assert 2 * values == weights_bytes(family, 2)


def test_shards_and_one_file_give_the_same_backbone(molmo1: Vectors, tmp_path: Path) -> None:
    """With an index, in one file, or under any file name; shards without vision are not opened."""
    folders = [tmp_path / name for name in ("one", "shards", "loose")]
    for folder in folders:
        folder.mkdir()
    one = load(molmo1, write_checkpoint(folders[0], molmo1.weights))
    shards = load(molmo1, write_shards(folders[1], molmo1.weights))
    save_file(molmo1.weights, folders[2] / "vision.safetensors")
    assert equal(one, shards)
    assert equal(one, load(molmo1, folders[2]))


def test_missing_surplus_and_misshaped_tensors_are_all_named(
    molmo1: Vectors, tmp_path: Path
) -> None:
    """One error tells everything that does not fit, with wanted and actual shape."""
    weights = dict(molmo1.weights)
    del weights[f"{PREFIX}pad_embed"]
    weights[f"{PREFIX}image_vit.extra"] = torch.zeros(1)
    weights[WQ] = torch.zeros(32, 31)
    with pytest.raises(CheckpointError) as caught:
        load(molmo1, write_checkpoint(tmp_path, weights))
    assert f"1 missing: {PREFIX}pad_embed" in caught.value.detail
    assert f"1 surplus: {PREFIX}image_vit.extra" in caught.value.detail
    assert f"{WQ} (wanted [32, 32], has [32, 31])" in caught.value.detail
    assert caught.value.facts["missing"] == [f"{PREFIX}pad_embed"]


def test_a_long_list_is_cut(molmo1: Vectors, tmp_path: Path) -> None:
    """Ten names and a count, not hundreds of names."""
    with pytest.raises(CheckpointError, match=r"193 missing: .* and 183 more"):
        load(molmo1, write_checkpoint(tmp_path, {"lm_head.weight": torch.zeros(1)}))


def test_integers_are_no_weights(molmo1: Vectors, tmp_path: Path) -> None:
    """A tensor of the right shape but not floating point is refused."""
    weights = {**molmo1.weights, WQ: torch.zeros(32, 32, dtype=torch.int8)}
    with pytest.raises(CheckpointError, match="wanted floating point, has I8"):
        load(molmo1, write_checkpoint(tmp_path, weights))


def test_only_used_vision_tensors_are_read(
    molmo1: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the language model nor the blocks that are never run are read into memory."""
    read: list[str] = []
    real = safetensors.safe_open

    class Recording:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.opened = real(*args, **kwargs)

        def __enter__(self) -> Recording:
            self.file = self.opened.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.opened.__exit__(*error)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def get_tensor(self, name: str) -> Tensor:
            read.append(name)
            tensor: Tensor = self.file.get_tensor(name)
            return tensor

    monkeypatch.setattr(safetensors, "safe_open", Recording)
    weights = {**molmo1.weights, "model.transformer.wte.embedding": torch.zeros(7, 5)}
    load(molmo1, write_checkpoint(tmp_path, weights))
    unread = {name for name in weights if "resblocks.10." in name}
    assert len(unread) == 16
    assert sorted(read) == sorted(molmo1.weights.keys() - unread)


def test_weights_come_in_the_dtype_asked_for(molmo1: Vectors, tmp_path: Path) -> None:
    """A float32 checkpoint loads as bfloat16, ready for inference."""
    folder = write_checkpoint(tmp_path, molmo1.weights)
    backbone = load_checkpoint(folder, molmo1.family, CPU, torch.bfloat16)
    assert {p.dtype for p in backbone.parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in backbone.parameters())


def test_folders_that_are_no_checkpoint(molmo1: Vectors, tmp_path: Path) -> None:
    """Absent, empty, or with a damaged file or index: an error that says which."""
    with pytest.raises(CheckpointError, match="does not exist"):
        load(molmo1, tmp_path / "absent")
    with pytest.raises(CheckpointError, match="no safetensors"):
        load(molmo1, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"cannot read model\.safetensors"):
        load(molmo1, tmp_path)
    for index in ("{", "[]", '{"weight_map": 3}'):
        (tmp_path / INDEX_FILE).write_text(index)
        with pytest.raises(CheckpointError, match=r"cannot read model\.safetensors\.index"):
            load(molmo1, tmp_path)


def test_a_shard_that_is_not_there_and_one_outside(molmo1: Vectors, tmp_path: Path) -> None:
    """An index may name only files in its folder, and they must exist."""
    index = tmp_path / INDEX_FILE
    index.write_text(json.dumps({"weight_map": {WQ: "absent.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"absent\.safetensors"):
        load(molmo1, tmp_path)
    index.write_text(json.dumps({"weight_map": {WQ: "../model.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        load(molmo1, tmp_path)


def test_a_tensor_in_two_files_is_ambiguous(molmo1: Vectors, tmp_path: Path) -> None:
    """Which of the two would be used must not depend on file names."""
    save_file(molmo1.weights, tmp_path / "a.safetensors")
    save_file({WQ: molmo1.weights[WQ]}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match=r"b\.safetensors repeats"):
        load(molmo1, tmp_path)


def test_values_that_are_not_finite_are_named(molmo1: Vectors, tmp_path: Path) -> None:
    """A NaN, or an infinity, in a tensor that is read; the dtype is not blamed."""
    weights = {**molmo1.weights, WQ: molmo1.weights[WQ].clone()}
    weights[WQ][3, 5] = float("nan")
    for dtype in (torch.float32, torch.float16):
        with pytest.raises(CheckpointError, match=f"NaN or infinite values in {WQ}") as caught:
            load_checkpoint(write_checkpoint(tmp_path, weights), molmo1.family, CPU, dtype)
        assert caught.value.facts["not_finite"] == [WQ]


def test_values_that_overflow_the_dtype_are_named(molmo1: Vectors, tmp_path: Path) -> None:
    """70,000 is too large for float16, and for nothing else that is computed in."""
    weights = {**molmo1.weights, WQ: molmo1.weights[WQ].clone()}
    weights[WQ][3, 5] = 70_000
    folder = write_checkpoint(tmp_path, weights)
    with pytest.raises(CheckpointError, match=f"too large for float16 in {WQ}; dtype float32"):
        load_checkpoint(folder, molmo1.family, CPU, torch.float16)
    for dtype in (torch.float32, torch.bfloat16):
        load_checkpoint(folder, molmo1.family, CPU, dtype)


@pytest.mark.parametrize("name", ["model.safetensors", "a.safetensors", INDEX_FILE])
def test_a_pointer_of_git_lfs_is_told_as_that(molmo1: Vectors, tmp_path: Path, name: str) -> None:
    """Wherever a clone without LFS left one."""
    (tmp_path / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    )
    with pytest.raises(CheckpointError, match=rf"{name} is a Git LFS pointer.*git lfs pull"):
        load(molmo1, tmp_path)


def test_pickles_alone_are_told_as_that(molmo1: Vectors, tmp_path: Path) -> None:
    """A folder of ``.bin`` files is no empty folder."""
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"\.bin files alone"):
        load(molmo1, tmp_path)


@pytest.mark.parametrize("prefix", ["vision_backbone.", "model.model.vision_backbone."])
@pytest.mark.parametrize("indexed", [True, False])
def test_tensors_under_another_prefix_are_told_as_that(
    molmo1: Vectors, tmp_path: Path, prefix: str, indexed: bool
) -> None:
    """With the prefix they have and the published one, not as 193 missing tensors."""
    weights = {
        name.replace(PREFIX, prefix, 1): tensor for name, tensor in molmo1.weights.items()
    } | {"lm_head.weight": torch.zeros(1)}
    (write_shards if indexed else write_checkpoint)(tmp_path, weights)
    with pytest.raises(CheckpointError) as caught:
        load(molmo1, tmp_path)
    assert f"begin with {prefix}; the published ones begin with {PREFIX}" in caught.value.detail
    assert caught.value.facts["prefixes"] == [prefix]


MOLMO2_8B = {
    "model_type": "molmo2",
    "text_config": {"hidden_size": 4096},
    "adapter_config": {"intermediate_size": 12288, "text_hidden_size": 4096},
}


@pytest.mark.parametrize(
    ("config", "fitting"),
    [
        ({"model_type": "molmo", "hidden_size": 4096}, ["molmo-7b-o-0924"]),
        ({"model_type": "molmo", "hidden_size": 999}, []),
        (MOLMO2_8B, ["molmo2-8b"]),
        ({"model_type": "molmo2"}, ["molmo2-4b", "molmo2-8b", "molmo2-o-7b"]),
    ],
)
def test_a_configuration_of_another_family_is_told_with_what_fits(
    tmp_path: Path, config: dict[str, Any], fitting: list[str]
) -> None:
    """Before a tensor is looked for, by width of the language model and of the projector."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="is not that of molmo-7b-d-0924") as caught:
        load_checkpoint(tmp_path, family_named("molmo-7b-d-0924"), CPU, torch.float32)
    assert caught.value.facts["supported"] == fitting


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("molmo-7b-d-0924", '{"model_type": "molmo", "hidden_size": 3584}'),
        ("molmo2-8b", json.dumps(MOLMO2_8B)),
        ("molmo2-8b", '{"model_type": "molmo_point", "text_config": {"hidden_size": 7}}'),
        ("molmo2-8b", '{"model_type": "molmo2", "text_config": 3}'),
        ("molmo2-8b", "[]"),
        ("molmo2-8b", "no JSON"),
    ],
)
def test_a_configuration_that_does_not_contradict_is_no_error(
    tmp_path: Path, name: str, text: str
) -> None:
    """Only what surely is another family is refused."""
    (tmp_path / "config.json").write_text(text)
    check_config(tmp_path / "config.json", family_named(name))
    check_config(tmp_path / "absent.json", family_named(name))
