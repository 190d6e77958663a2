"""``GET /models``: the families that can be planned for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core.plan.families import FAMILIES
from app.http.parameters import NoParameters, ServiceDependency
from app.http.problems import responses
from app.schemas.service import FamilyAnswer, ModelsAnswer

router = APIRouter(tags=["service"])


@router.get("/models", summary="The families", responses=responses(400, 422))
def models(
    parameters: Annotated[NoParameters, Query()], service: ServiceDependency
) -> ModelsAnswer:
    """Every family with its own configuration; the default and the encoder's are marked."""
    encodes = service.encoder.status().state != "off"
    return ModelsAnswer(
        models=[
            FamilyAnswer.of(
                family,
                default=name == service.default_model,
                encoder=encodes and name == service.default_model,
            )
            for name, family in FAMILIES.items()
        ]
    )
