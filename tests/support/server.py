"""The real server, as a process of its own on a free port."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from app.http.protocol import BoundedProtocol

LOG = "server.log"


@contextmanager
def serving(
    folder: Path, *, launcher: Sequence[str] = (), **settings: object
) -> Iterator[tuple[subprocess.Popen, str]]:
    """``crop-planner serve`` and its address; killed in the end, whatever it does then.

    Args:
        folder: for its profiles, and for its log, ``LOG``.
        launcher: arguments of Python that run the service's module in some other way.
        settings: by their names in ``Settings``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {f"CROP_PLANNER_{name.upper()}": str(value) for name, value in settings.items()}
    with (folder / LOG).open("wb") as log:  # a pipe would be full after some hundred requests
        process = subprocess.Popen(
            [sys.executable, *launcher, "-m", "app.cli", "serve", "--port", str(port)],
            env={**os.environ, "CROP_PLANNER_PROFILE_FOLDER": str(folder), **environment},
            stderr=log,
        )
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def wait_for(url: str, seconds: float = 120) -> httpx.Response:
    """What a URL answers once its server is there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return httpx.get(url)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the server never came"
            time.sleep(0.02)


@contextmanager
def in_a_thread(app: FastAPI) -> Iterator[str]:
    """The address of a uvicorn in a thread of this process, for what only a fake can be made to do.

    Drained in the end: what still runs then must be able to end.
    """
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, http=BoundedProtocol))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        wait_for(f"{address}/healthz")
        try:
            yield address
        finally:  # else the thread would keep the process of a failed test from ever ending
            server.should_exit = True
            thread.join(60)
        assert not thread.is_alive()
