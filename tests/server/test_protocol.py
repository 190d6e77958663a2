"""Connections have bounds: seen with sockets that no well-behaved client would open."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from support.http import JPEG, image_bytes
from support.server import in_a_thread

from app.http import protocol
from app.http.protocol import MOST_HEAD_BYTES
from app.main import create_app
from app.settings import Settings

GUARD_S = 60


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service that takes images of 100 KB."""
    with in_a_thread(create_app(Settings(encoder=False, max_upload_bytes=100_000))) as address:
        yield address


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=GUARD_S)


@pytest.fixture
def connection(url) -> Iterator[socket.socket]:
    with connected(url) as made:
        yield made


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], dict]:
    """The status, headers and JSON of an answer; the server must close behind it."""
    received = b""
    while part := connection.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /plan HTTP/1.1\r\nHost: a\r\nX: " + b"a" * MOST_HEAD_BYTES + b"\r\n\r\n",
        b"GET /plan?" + b"a" * MOST_HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /plan HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * MOST_HEAD_BYTES + b"\r\n",
    ],
    ids=["a header", "the address", "many headers"],
)
def test_a_large_head_is_refused(connection, head):
    with suppress(OSError):
        connection.sendall(head)
    status, headers, problem = answer_of(connection)
    assert (status, headers["connection"]) == (431, "close")
    assert problem["type"] == "urn:crop-planner:problem:head-too-large"
    assert problem["actual"] > problem["limit"] == MOST_HEAD_BYTES


def test_a_head_without_end_is_refused_early(connection):
    """Its bytes are counted as they arrive."""
    connection.sendall(b"GET /plan HTTP/1.1\r\nHost: a\r\nAccept: ")
    sent = 0
    with suppress(OSError):
        while sent < 64 * 2**20:
            sent += connection.send(b"," * 65536)
    assert sent < 16 * 2**20


def test_a_usual_head_passes_in_many_parts(connection):
    """A head just below the limit is no attack, however it is cut."""
    head = b"GET /plan?width=640&height=480 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
    head += b"a" * (MOST_HEAD_BYTES - 200) + b"\r\n\r\n"
    for start in range(0, len(head), 4000):
        connection.sendall(head[start : start + 4000])
        time.sleep(0.001)
    status, _, answer = answer_of(connection)
    assert (status, answer["tokens"]["prompt"]) == (200, 740)


def test_a_silent_connection_is_closed(url, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.2)
    with connected(url) as silent:
        status, headers, problem = answer_of(silent)
    assert (status, headers["connection"], problem["limit"]) == (408, "close", 0.2)


@pytest.mark.parametrize("drop", [b"a", b"\r\n"], ids=["a header", "empty lines"])
def test_a_dripping_head_is_closed(url, monkeypatch, drop):
    """Also behind a request that was answered."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.3)
    with connected(url) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in slow.recv(65536)
        if drop == b"a":
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert closes_while_sent(slow, drop)


def closes_while_sent(connection: socket.socket, drop: bytes) -> bool:
    deadline = time.monotonic() + GUARD_S
    connection.settimeout(0.02)
    while time.monotonic() < deadline:
        with suppress(TimeoutError):
            try:
                connection.sendall(drop)
                if connection.recv(65536) == b"":
                    return True
            except ConnectionError:
                return True
    return False


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_refused_body_is_not_read_for_ever(connection, announced):
    """The answer is seen by a client that is still sending, and then the connection ends."""
    framing = b"Content-Length: 4000000000" if announced else b"Transfer-Encoding: chunked"
    head = b"POST /analyze HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"
    connection.sendall(head + framing + b"\r\n\r\n")
    part = b"x" * 65536 if announced else b"10000\r\n" + b"x" * 65536 + b"\r\n"
    connection.setblocking(False)
    sent, received, deadline = 0, b"", time.monotonic() + GUARD_S
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                received += connection.recv(65536)
            with suppress(BlockingIOError):
                sent += connection.send(part)
            time.sleep(0.001)
    assert time.monotonic() < deadline
    assert received.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in received
    assert sent < 32 * 2**20


def test_a_whole_body_keeps_the_connection(url):
    """An error is no reason to close if nothing is left to read."""
    with httpx.Client() as client:
        refused = client.post(f"{url}/analyze", content=b"no image", headers=JPEG)
        planned = client.post(f"{url}/analyze", content=image_bytes(300, 200), headers=JPEG)
    assert (refused.status_code, planned.status_code) == (415, 200)
    assert "connection" not in {*refused.headers, *planned.headers}


def test_a_text_that_is_no_http_is_a_problem(connection):
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    status, _, problem = answer_of(connection)
    assert (status, problem["type"]) == (400, "urn:crop-planner:problem:malformed-request")
