from __future__ import annotations

import json

import pytest

from app.core.errors import UnknownModel
from app.core.plan.families import FAMILIES
from app.report.crop_overlap import family_at

RELEASED = {"molmo-7b-d-0924": "Molmo-7B-D-0924", "molmo2-8b": "Molmo2-8B"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_found_by_its_name(name):
    assert family_at(name).name == name


@pytest.mark.parametrize(("name", "released"), RELEASED.items())
def test_a_hub_name_and_a_folder_of_that_name_are_of_the_family(name, released, tmp_path):
    assert family_at(f"allenai/{released}").name == name
    assert family_at(tmp_path / released).name == name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_checkpoint_of_another_name_is_known_by_its_sizes(family, tmp_path):
    """No two families have the same, so each is found again."""
    connector = family.connector
    config = {"model_type": "molmo", "hidden_size": connector.llm_width}
    if family.generation == 2:
        adapter = {
            "text_hidden_size": connector.llm_width,
            "intermediate_size": connector.projector_hidden,
        }
        config = {"model_type": "molmo2", "adapter_config": adapter}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert family_at(tmp_path) is family


@pytest.mark.parametrize("content", [None, "{", "[]", '{"hidden_size": 1}'])
def test_anything_else_is_an_error_that_names_the_families(content, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UnknownModel, match="molmo-7b-d-0924"):
        family_at(tmp_path)
