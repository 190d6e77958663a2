"""``/latency/measure``: measure the profile again, in the background."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.http.answers import json_answer
from app.http.body import read_json
from app.http.parameters import NoParameters, ServiceDependency
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.measurement import MeasurementAnswer, MeasurementBody

router = resource_router("latency", prefix="/latency/measure")

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": MeasurementBody.model_json_schema(),
                "example": {"counts": [1, 5, 13], "repeats": 50},
            }
        },
    }
}


@router.post(
    "",
    status_code=202,
    summary="Measure the profile again",
    response_model=MeasurementAnswer,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **responses(400, 409, 413, 422, 503, 504),
    },
    openapi_extra=OPENAPI_BODY,
)
async def start_measurement(
    request: Request,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Start a measurement, and name the address of its progress; one measurement runs at a time.

    Its counts then replace those of the profile in use. A measurement in another dtype does not.
    """
    body = await read_json(request, MeasurementBody, service.limits)
    encoder = service.encoder.ready_encoder()
    state = service.encoder.device_profile.start(encoder, **body.model_dump())
    answer = json_answer(MeasurementAnswer.of_state(state), 202)
    answer.headers["Location"] = f"{router.prefix}/{state.id}"
    return answer


@router.get(
    "/{measurement_id}",
    summary="How far a measurement is",
    response_model=MeasurementAnswer,
    responses=responses(404, 422),
)
def measurement(
    measurement_id: str,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Tell the progress and the results of a measurement. The last eight can be asked for."""
    state = service.encoder.device_profile.measurements.state(measurement_id)
    return json_answer(MeasurementAnswer.of_state(state))


@router.delete(
    "/{measurement_id}",
    summary="Stop a measurement",
    response_model=MeasurementAnswer,
    responses=responses(404, 422),
)
def cancel_measurement(
    measurement_id: str,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Start no further pass. The measurement runs on until its pass ends. A repeat is no error.

    The results stay in the answer. The profile in use stays the same, except for the first one,
    measured at the start.
    """
    state = service.encoder.device_profile.measurements.cancel(measurement_id)
    return json_answer(MeasurementAnswer.of_state(state))
