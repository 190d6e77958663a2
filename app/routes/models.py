"""``GET /models``: the families that can be planned for."""

from typing import Annotated

from fastapi import Response

from app.core.plan.families import FAMILIES
from app.http.answers import json_answer
from app.http.parameters import NoParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.service import FamilyAnswer, ModelsAnswer

router = resource_router("service")


@router.get(
    "/models", summary="The families", response_model=ModelsAnswer, responses=responses(400, 422)
)
async def models(
    parameters: Annotated[NoParameters, query(NoParameters)], service: ServiceDependency
) -> Response:
    """List every family with its own configuration; mark the default and the encoder's."""
    encodes = service.encoder.status().state != "off"
    return json_answer(
        ModelsAnswer(
            models=[
                FamilyAnswer.of(
                    family,
                    default=name == service.default_model,
                    encoder=encodes and name == service.default_model,
                )
                for name, family in FAMILIES.items()
            ]
        )
    )
