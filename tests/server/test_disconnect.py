"""A client that goes away, seen through a real server on a real socket."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from support.fakes import FakeEncoder
from support.http import JPEG, image_bytes
from support.server import in_a_thread
from support.waiting import until

from app.main import create_app
from app.settings import Settings


@pytest.fixture
def app(fake_encoder) -> FastAPI:
    return create_app(Settings(profile_on_start=False, image_workers=2), lambda: fake_encoder)


@pytest.fixture
def url(app, fake_encoder) -> Iterator[str]:
    """The address of a uvicorn in a thread, whose encoder is fake."""
    with in_a_thread(app) as address:
        until(lambda: is_ready(address))
        yield address
        fake_encoder.gate.set()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def waiting(url: str) -> int:
    return httpx.get(f"{url}/readyz").json()["waiting"]


def send(url: str, width: int, *, multipart: bool = False, call: str = "/encode") -> socket.socket:
    """A request, by default for tokens, whose answer is not waited for."""
    body = (
        {"files": {"image": image_bytes(width, 300)}}
        if multipart
        else {
            "content": image_bytes(width, 300),
            "headers": JPEG,
        }
    )
    request = httpx.Request("POST", f"{url}{call}", **body)
    request.read()
    lines = [f"POST {call} HTTP/1.1".encode(), *(b": ".join(pair) for pair in request.headers.raw)]
    connection = socket.create_connection((request.url.host, request.url.port))
    connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + request.content)
    return connection


@pytest.mark.parametrize("multipart", [False, True])
def test_who_hangs_up_while_waiting_is_never_encoded(url, fake_encoder: FakeEncoder, multipart):
    """The place in the queue is free at once, and the others are served as if nothing was."""
    fake_encoder.gate.clear()
    first = send(url, 300)
    assert fake_encoder.started.wait(60)
    leaving = send(url, 310, multipart=multipart)
    staying = send(url, 320)
    until(lambda: waiting(url) == 2)
    leaving.close()
    until(lambda: waiting(url) == 1)
    fake_encoder.gate.set()
    for connection in (first, staying):
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    assert fake_encoder.batches == [[300], [320]]


def test_who_hangs_up_before_being_staged_is_never_staged(app, url, fake_encoder):
    """With every image worker busy, the upload of a client that has gone is not even decoded."""
    images, staged, release = app.state.service.images, [], threading.Event()
    stage = fake_encoder.stage

    def slow_stage(picture, plan):
        staged.append(plan.image.width)
        assert release.wait(60)
        return stage(picture, plan)

    fake_encoder.stage = slow_stage
    busy = [send(url, 300), send(url, 310)]
    until(lambda: len(staged) == 2)
    leaving = send(url, 320)
    until(lambda: images.places.taken == 3)
    leaving.close()
    until(lambda: images.places.taken == 2)
    release.set()
    for connection in busy:
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    assert httpx.post(f"{url}/encode", content=image_bytes(330, 300), headers=JPEG).is_success
    assert sorted(staged) == [300, 310, 330]


def test_a_pass_under_way_outlives_its_client_and_the_server_serves_on(url, fake_encoder):
    fake_encoder.gate.clear()
    leaving = send(url, 300)
    assert fake_encoder.started.wait(60)
    leaving.close()
    staying = send(url, 310)
    until(lambda: waiting(url) == 1)
    fake_encoder.gate.set()
    assert staying.recv(12) == b"HTTP/1.1 200"
    staying.close()
    assert fake_encoder.batches == [[300], [310]]


MEASURE = "/analyze?latency=measure&repeats=5"


def test_a_measurement_that_waits_is_dropped_with_its_client(app, url, fake_encoder):
    """Its image is not even decoded for it, and its place in the queue is free."""
    images = app.state.service.images
    prepared, prepare = [], fake_encoder.prepare

    def noted(picture, plan):
        prepared.append(plan.image.width)
        return prepare(picture, plan)

    fake_encoder.prepare = noted
    fake_encoder.gate.clear()
    first = send(url, 300, call=MEASURE)
    assert fake_encoder.started.wait(60)
    leaving = send(url, 310, call=MEASURE)
    until(lambda: images.places.taken == 2)
    leaving.close()
    until(lambda: images.places.taken == 1)
    fake_encoder.gate.set()
    assert first.recv(12) == b"HTTP/1.1 200"
    first.close()
    assert httpx.post(f"{url}{MEASURE}", content=image_bytes(320, 300), headers=JPEG).is_success
    assert prepared == [300, 320]
    assert fake_encoder.passes == 2 * (1 + 5)


def test_a_measurement_under_way_stops_between_two_passes(app, url, fake_encoder):
    """The pass under way ends, and the next one is another client's."""
    fake_encoder.gate.clear()
    leaving = send(url, 300, call=MEASURE)
    assert fake_encoder.started.wait(60)
    leaving.close()
    until(lambda: app.state.service.images.places.taken == 0)
    fake_encoder.gate.set()
    assert httpx.post(f"{url}{MEASURE}", content=image_bytes(320, 300), headers=JPEG).is_success
    assert fake_encoder.passes == 1 + (1 + 5)
