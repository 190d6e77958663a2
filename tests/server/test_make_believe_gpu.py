"""The real server, on a socket, whose encoder runs on a make-believe GPU."""

from __future__ import annotations

import io
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from support.http import check_problem
from support.server import LOG, serving, wait_for
from torch import Tensor

PRETENDING = ("-m", "tests.support.fake_cuda")
CLIENTS = 8
SIZES = (
    (160, 160), (100, 400), (640, 480), (480, 640), (300, 200), (233, 377), (800, 250), (250, 800),
    (1024, 768), (90, 90), (500, 500), (700, 300),
)  # fmt: skip
EXACT = 1e-5
"""Of float32: what a batch's other shape may round otherwise."""


def image(number: int, size: tuple[int, int], form: str) -> bytes:
    """Noise of its own for each number, in coarse squares, so that it is no single colour."""
    noise = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size).save(file, form)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    tokens: Tensor
    positions: Tensor
    crops: int
    pass_crops: int


def encode(client: httpx.Client, data: bytes) -> Answer:
    answer = client.post("/encode", content=data, headers={"content-type": "image/*"}, timeout=120)
    assert answer.status_code == 200, answer.text
    found = load(answer.content)
    pass_crops = answer.headers["Server-Timing"].rpartition("over ")[2].split()[0]
    crops = int(answer.headers["X-Total-Crops"])
    return Answer(found["tokens"], found["positions"], crops, int(pass_crops))


class Health:
    """Asks a server again and again whether it is well."""

    def __init__(self, url: str) -> None:
        self._url, self._over = url, threading.Event()
        self.found: set[int] = set()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.is_set():
            self.found.add(httpx.get(f"{self._url}/healthz", timeout=60).status_code)
            self._over.wait(0.05)

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    settings = {"profile_on_start": "false", "dtype": "float32", "image_workers": 4}
    with serving(folder, launcher=PRETENDING, **settings) as (process, url):
        wait_for(f"{url}/healthz", 120)
        deadline = time.monotonic() + 120
        while (ready := httpx.get(f"{url}/readyz").json())["status"] == "loading":
            assert time.monotonic() < deadline, "never loaded"
            time.sleep(0.1)
        assert ready["ready"], ready
        yield process, url


def test_every_image_among_many_is_as_alone(server, folder: Path) -> None:
    """24 images by 8 clients, in passes of several, while probes are green and no law is broken."""
    _, url = server
    forms = ("JPEG", "PNG")
    images = [image(n, size, forms[n % 2]) for n, size in enumerate(SIZES * 2)]
    with httpx.Client(base_url=url) as client:
        alone = [encode(client, data) for data in images]
        with Health(url) as health, ThreadPoolExecutor(CLIENTS) as clients:
            together = list(clients.map(lambda data: encode(client, data), images))
    for one, wanted in zip(together, alone, strict=True):
        assert torch.equal(one.positions, wanted.positions)
        error = (one.tokens - wanted.tokens).norm() / wanted.tokens.norm()
        assert error <= EXACT, (wanted.crops, error)
    assert len({one.crops for one in alone}) >= 5
    assert max(one.crops for one in alone) >= 13
    assert any(one.pass_crops > one.crops for one in together)
    assert health.found == {200}
    assert "FAKE CUDA PROBLEM" not in (folder / LOG).read_text()


def test_a_broken_context_is_told_to_all_and_ends_the_encoder(server) -> None:
    """The image is not to blame and nothing else would work: 503, also from the probes."""
    process, url = server
    process.send_signal(signal.SIGUSR1)
    data = image(0, (640, 480), "JPEG")
    for _ in range(2):
        answer = httpx.post(f"{url}/encode", content=data, headers={"content-type": "image/jpeg"})
        check_problem(answer, 503, "encoder-unavailable")
    health = httpx.get(f"{url}/healthz")
    assert health.status_code == 503
    assert "illegal memory access" in health.text
    assert httpx.get(f"{url}/readyz").status_code == 503
    assert httpx.get(f"{url}/plan?width=640&height=480").status_code == 200
