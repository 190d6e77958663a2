"""Probes tell the state of the encoder: 503 where no request should come."""

import asyncio
from dataclasses import replace

import pytest
from support.fakes import FakeEncoder
from support.http import ready

from app.core.errors import CheckpointError
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio


async def probe(client) -> dict[str, tuple[int, str]]:
    answers = {path: await client.get(path) for path in ("/healthz", "/readyz")}
    return {path: (one.status_code, one.json()["status"]) for path, one in answers.items()}


async def test_a_ready_service_says_so(serve):
    async with serve() as client:
        await ready(client)
        assert await probe(client) == {"/healthz": (200, "ok"), "/readyz": (200, "ready")}
        assert (await client.get("/readyz")).json()["ready"] is True


async def test_a_draining_service_is_alive_but_not_ready(serve):
    """The end of the lifespan stops the worker; open connections may still ask."""
    async with serve() as client:
        await ready(client)
        client._transport.app.state.service.encoder.stop()
        assert await probe(client) == {"/healthz": (200, "ok"), "/readyz": (503, "draining")}
        assert (await client.get("/readyz")).json()["ready"] is False


async def test_an_encoder_that_cannot_be_loaded_leaves_planning_alive():
    import httpx

    def broken() -> FakeEncoder:
        raise CheckpointError("no such tensor")

    app = create_app(Settings(), broken)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        for _ in range(1000):
            if (await probe(client))["/readyz"][1] != "loading":
                break
            await asyncio.sleep(0.005)
        assert await probe(client) == {"/healthz": (200, "ok"), "/readyz": (503, "failed")}
        told = (await client.get("/readyz")).json()["encoder"]
        assert (told["state"], told["reason"]) == ("failed", "no such tensor")
        assert (await client.get("/plan?width=9&height=9")).status_code == 200


async def test_a_dead_worker_has_a_reason(serve, monkeypatch):
    async with serve() as client:
        await ready(client)
        encoder = client._transport.app.state.service.encoder
        dead = replace(encoder.status(), worker="dead", reason="illegal memory access")
        monkeypatch.setattr(type(encoder), "status", lambda self: dead)
        told = (await client.get("/healthz")).json()
    assert (told["status"], told["reason"]) == ("dead", "illegal memory access")


async def test_only_a_loaded_encoder_is_marked_in_the_list_of_models(serve):
    for encoder in (True, False):
        async with serve(encoder=encoder) as client:
            models = (await client.get("/models")).json()["models"]
        marked = [model["name"] for model in models if model["encoder"]]
        assert marked == (["molmo-7b-d-0924"] if encoder else [])


async def test_a_profile_tells_grid_crops_beside_total_crops(serve):
    async with serve(profile_on_start=True) as client:
        await ready(client, profile="complete")
        entries = (await client.get("/latency")).json()["profile"]["entries"]
    assert [(one["total_crops"], one["crops"]) for one in entries] == [(1, 0), (2, 1), (3, 2)]
