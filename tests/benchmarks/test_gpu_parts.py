"""Saved results, and clients in several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks.clients import ask_together
from benchmarks.serving import Server
from benchmarks.throughput import _time_for_a_round
from benchmarks.timing import Budget, save


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("benchmarks.timing.RESULTS", tmp_path)
    return tmp_path


def test_a_result_is_replaced_as_a_whole(results: Path) -> None:
    """What cannot be written leaves the one before."""
    save("it", {"value": 1})
    with pytest.raises(TypeError):
        save("it", {"value": object()})
    assert json.loads((results / "it.json").read_text())["value"] == 1
    assert [path.name for path in results.iterdir()] == ["it.json"]


class Encode(BaseHTTPRequestHandler):
    """Answers as the service does, with as many crops as the image has bytes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        image = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(image)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Server-Timing", "vit;dur=1.5")
        self.send_header("X-Total-Crops", str(len(image)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Encode) as server:
        server.seen = []  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("processes", [1, 2])
def test_all_answers_of_all_clients_count(service: ThreadingHTTPServer, processes: int) -> None:
    """In however many processes the clients are; each image is asked for."""
    server = Server(f"http://127.0.0.1:{service.server_port}", process_id=-1)
    load = ask_together(server, [b"a", b"bb"], clients=3, seconds=1, processes=processes)
    seen = service.seen  # type: ignore[attr-defined]
    assert len(load.answers) == len(seen) >= 2
    assert load.total_crops == sum(map(len, seen))
    assert {len(image) for image in seen} == {1, 2}
    assert load.cpu_s is None


def test_a_round_of_load_is_only_begun_where_one_would_end_in_time() -> None:
    """As long as the last took; the first needs but some time."""
    now = 0.0
    budget = Budget(100, lambda: now)
    assert _time_for_a_round(budget, [])
    now = 60.0
    assert _time_for_a_round(budget, [{"seconds": 29.0}])
    assert not _time_for_a_round(budget, [{"seconds": 31.0}])
    now = 91.0
    assert not _time_for_a_round(budget, [])
