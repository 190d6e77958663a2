"""The answer of a plan: valid by its own model, and each part once."""

from hypothesis import given
from pydantic import TypeAdapter
from support.strategies import configs, plan_or_reject, sizes

from app.core.latency.latency import Latency
from app.schemas.answer import to_json
from app.schemas.plan import PlanAnswer


@given(sizes, configs(largest=12))
def test_an_answer_is_valid_by_its_model(image, config):
    """Its parts are made without validation, so all of them are read back."""
    plan = plan_or_reject(image, config)
    answer = PlanAnswer.of(plan, Latency("none", "no profile"))
    assert TypeAdapter(PlanAnswer).validate_json(to_json(answer), strict=True) == answer
    selected = [(one.rows, one.cols) for one in answer.control.candidates if one.selected]
    assert selected == [plan.grid]
    rows = answer.control.max_crops
    assert [row.max_crops for row in rows] == list(range(1, config.max_crops + 1))
    assert (rows[-1].tiling, rows[-1].tokens) == (answer.tiling, answer.tokens)
    # Reports write the parts without pydantic, which would make floats of whole numbers.
    boxes = [answer.global_crop.image_box, *(crop.canvas_box for crop in answer.crops)]
    boxes += [crop.image_box for crop in answer.crops if crop.image_box]
    assert {type(px) for box in boxes for px in box} == {float}
