"""Hypothesis strategies for sizes and configurations."""

from hypothesis import assume
from hypothesis import strategies as st

from app.core.errors import CollapsedImage
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan

sides = st.one_of(
    st.integers(1, 400), st.integers(1, 6000), st.sampled_from([111, 112, 113, 336, 337])
)
sizes = st.builds(Size, width=sides, height=sides)


@st.composite
def configs(draw: st.DrawFn, *, largest: int = 24) -> CropConfig:
    """Configurations of both generations, with and without overrides."""
    family = FAMILIES[draw(st.sampled_from(["molmo-7b-d-0924", "molmo2-8b"]))]
    margins = st.sampled_from([(4, 4), (4, 4), (0, 0), (2, 4), (6, 6), (8, 2)])
    return make_config(
        family,
        max_crops=draw(st.integers(1, largest)),
        overlap_margins=draw(margins),
        crop_size_px=draw(st.sampled_from([None, None, 448])),
    )


def plan_or_reject(size: Size, config: CropConfig) -> CropPlan:
    """The plan; an example too narrow for one is not tried."""
    try:
        return make_plan(size, config)
    except CollapsedImage:
        assume(False)
        raise
