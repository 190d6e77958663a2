"""``/latency``: the profile in use, and measurements of it in the background."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Request, Response

from app.http.answers import json_answer
from app.http.body import read_json
from app.http.parameters import NoParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.answer import mirrored
from app.schemas.latency import EncoderAnswer, LatencyProfileAnswer
from app.schemas.measurement import MeasurementAnswer, MeasurementBody
from app.schemas.profile import ProfileInUseAnswer

router = resource_router("latency", prefix="/latency")

_MEASUREMENT_BODY: dict[str, Any] = {
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


@router.get(
    "",
    summary="The measured profile",
    response_model=LatencyProfileAnswer,
    responses=responses(400, 422),
)
def latency(
    parameters: Annotated[NoParameters, query(NoParameters)], service: ServiceDependency
) -> Response:
    """Give the measured latency per number of crops, its conditions and the profile's progress.

    The age of the profile, its own error and its drift tell its trust now.
    """
    in_use = service.encoder.predictions().in_use(datetime.now(UTC))
    return json_answer(
        LatencyProfileAnswer(
            encoder=mirrored(EncoderAnswer, service.encoder.status()),
            profile=ProfileInUseAnswer.of_use(in_use) if in_use else None,
        )
    )


@router.post(
    "/measure",
    status_code=202,
    summary="Measure the profile again",
    response_model=MeasurementAnswer,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **responses(400, 409, 413, 422, 503, 504),
    },
    openapi_extra=_MEASUREMENT_BODY,
)
async def start_measurement(
    request: Request,
    parameters: Annotated[NoParameters, query(NoParameters)],
    service: ServiceDependency,
) -> Response:
    """Start a measurement, and name the address of its progress; one measurement runs at a time.

    Its counts then replace those of the profile in use. A measurement in another dtype does not.
    """
    body = await read_json(request, MeasurementBody, service.limits)
    encoder = service.encoder.ready_encoder()
    state = service.encoder.device_profile.start(encoder, **body.model_dump())
    answer = json_answer(MeasurementAnswer.of_state(state), 202)
    answer.headers["Location"] = f"{router.prefix}/measure/{state.id}"
    return answer


@router.get(
    "/measure/{measurement_id}",
    summary="How far a measurement is",
    response_model=MeasurementAnswer,
    responses=responses(404, 422),
)
def measurement(
    measurement_id: str,
    parameters: Annotated[NoParameters, query(NoParameters)],
    service: ServiceDependency,
) -> Response:
    """Tell the progress and the results of a measurement. The last eight can be asked for."""
    state = service.encoder.device_profile.measurements.state(measurement_id)
    return json_answer(MeasurementAnswer.of_state(state))


@router.delete(
    "/measure/{measurement_id}",
    summary="Stop a measurement",
    response_model=MeasurementAnswer,
    responses=responses(404, 422),
)
def cancel_measurement(
    measurement_id: str,
    parameters: Annotated[NoParameters, query(NoParameters)],
    service: ServiceDependency,
) -> Response:
    """Start no further pass. The measurement runs on until its pass ends. A repeat is no error.

    The results stay in the answer. The profile in use stays the same, except for the first one,
    measured at the start.
    """
    state = service.encoder.device_profile.measurements.cancel(measurement_id)
    return json_answer(MeasurementAnswer.of_state(state))
