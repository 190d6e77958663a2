"""The plans of a data set's images."""

from __future__ import annotations

from app.core.errors import CollapsedImage, InvalidDataset
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.report.dataset.images import Dataset, Skipped


def plan_images(
    dataset: Dataset, config: CropConfig
) -> tuple[dict[int | str, CropPlan], list[Skipped]]:
    """The plan of each image by its id; images of one size share one. And who has none, and why.

    Raises:
        InvalidDataset: no image has one.
    """
    by_size: dict[Size, CropPlan | str] = {}
    plans: dict[int | str, CropPlan] = {}
    collapsed = []
    for image in dataset.images:
        if image.size not in by_size:
            by_size[image.size] = _plan_or_reason(image.size, config)
        plan = by_size[image.size]
        if isinstance(plan, str):
            collapsed.append(Skipped(image.file_name, plan))
        else:
            plans[image.image_id] = plan
    if not plans:
        raise InvalidDataset(
            f"no image of {dataset.name} can be planned; the first: {collapsed[0].reason}",
            actual=dataset.name,
        )
    return plans, collapsed


def _plan_or_reason(size: Size, config: CropConfig) -> CropPlan | str:
    try:
        return make_plan(size, config)
    except CollapsedImage as error:
        return error.detail
