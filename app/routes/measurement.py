"""``/latency/measure``: measure the profile again, in the background."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.http.json_body import openapi_body, read_json
from app.http.parameters import NoParameters, ServiceDependency
from app.http.problems import responses
from app.schemas.measurement import MeasurementAnswer, MeasurementBody

router = APIRouter(prefix="/latency/measure", tags=["latency"])


@router.post(
    "",
    status_code=202,
    summary="Measure the profile again",
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **responses(400, 409, 413, 422, 503, 504),
    },
    openapi_extra=openapi_body(MeasurementBody),
)
async def start(
    request: Request,
    response: Response,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> MeasurementAnswer:
    """Start to measure, and say where its progress is; one measurement runs at a time.

    Once done it replaces these counts in the profile in use, unless it is in another dtype.
    """
    body = await read_json(request, MeasurementBody, service.limits)
    state = service.encoder.device_profile.start(
        service.encoder.ready_encoder(),
        counts=body.counts,
        dtype=body.dtype,
        repeats=body.repeats,
        full=body.full,
    )
    response.headers["Location"] = f"{router.prefix}/{state.id}"
    return MeasurementAnswer.of_state(state)


@router.get("/{measurement_id}", summary="How far a measurement is", responses=responses(404, 422))
def progress(
    measurement_id: str,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> MeasurementAnswer:
    """Its progress, and what it measured so far. The last eight are kept."""
    return MeasurementAnswer.of_state(service.encoder.device_profile.measurement(measurement_id))


@router.delete("/{measurement_id}", summary="Stop a measurement", responses=responses(404, 422))
def cancel(
    measurement_id: str,
    parameters: Annotated[NoParameters, Query()],
    service: ServiceDependency,
) -> MeasurementAnswer:
    """Start no further pass; until the one under way ends it is still running. Again is no error.

    What was measured stays in its answer, and the profile in use stays as it is, unless it is the
    first one, measured at the start.
    """
    return MeasurementAnswer.of_state(service.encoder.device_profile.cancel(measurement_id))
