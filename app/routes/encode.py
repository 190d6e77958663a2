"""``POST /encode``: the vision tokens of an image."""

from functools import partial
from typing import Annotated

from fastapi import Request, Response

from app.core.plan.config import CropConfig
from app.http.answers import plan_headers
from app.http.body import OPENAPI_BODY, read_upload, while_connected
from app.http.parameters import PlanParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.serving.encode.encoding import MEDIA_TYPE, EncodedImage, StagedImage, token_file
from app.serving.service import Service

router = resource_router("encoding")


@router.post(
    "/encode",
    summary="The vision tokens of an image",
    response_class=Response,
    responses={
        200: {
            "description": "A safetensors file: `tokens` [N, L] in the encoder's dtype, and "
            "`positions` int64 [N], where each goes in the image's prompt tokens.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        },
        **responses(400, 413, 415, 422, 429, 503, 504, 507),
    },
    openapi_extra=OPENAPI_BODY,
)
async def encode(
    request: Request,
    parameters: Annotated[PlanParameters, query(PlanParameters)],
    service: ServiceDependency,
) -> Response:
    """Encode an image, in one pass with the images of other requests that wait."""
    config = parameters.config(service)
    service.encoder.ready_encoder()  # refuse before the upload is read
    staged = await _stage(request, config, service)
    encoded = await while_connected(request, service.encoding.encode(staged))
    return await service.images.run(partial(_answer, encoded))


async def _stage(request: Request, config: CropConfig, service: Service) -> StagedImage:
    """Read and stage the image. The upload is gone at the return, before its crops wait."""
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        return await while_connected(request, service.stage(data, config))


def _answer(encoded: EncodedImage) -> Response:
    return Response(token_file(encoded), media_type=MEDIA_TYPE, headers=_headers(encoded))


def _headers(encoded: EncodedImage) -> dict[str, str]:
    stages = {
        "decode": encoded.decode_ms,
        "preprocess": encoded.preprocess_ms,
        "queue": encoded.queue_ms,
        "encode": encoded.encode_ms,
    }
    timing = ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.items())
    return {
        **plan_headers(encoded.plan),
        "X-Weights": encoded.weights,
        "Server-Timing": f'{timing};desc="a pass over {encoded.pass_crops} crops"',
    }
