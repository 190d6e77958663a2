"""A plan's JSON in pieces is the JSON of the whole."""

from hypothesis import given
from hypothesis import strategies as st
from support.fakes import fake_profile
from support.strategies import configs, plan_or_reject, sizes

from app.core.latency.predictions import predict
from app.imaging.read.facts import ImageFacts
from app.schemas.latency import StagesMs
from app.schemas.plan import ImageAnswer, PlanAnswer
from app.schemas.plan_json import PlanJson, latency_json

texts = st.text(max_size=20)


@given(
    sizes,
    configs(),
    st.sampled_from([None, fake_profile(13)]),
    st.none() | st.tuples(texts, st.integers(0), texts, st.integers(1, 8), st.lists(texts)),
    st.none() | st.floats(0, 1e6),
)
def test_the_pieces_make_the_answer(size, config, profile, told, decode_ms):
    """Byte for byte, for any image of the size and whatever its latency."""
    plan = plan_or_reject(size, config)
    facts = told and ImageFacts(size, told[0], told[1], told[2], told[3], tuple(told[4]))
    latency, stages = predict(profile, plan, "none there"), StagesMs(decode=decode_ms)
    whole = PlanAnswer.of(plan, latency, facts=facts, stages_ms=stages)
    image = ImageAnswer.of(size, facts)
    joined = PlanJson.of(plan).answer(image, latency_json(latency, plan, stages))
    assert joined == whole.model_dump_json().encode()
