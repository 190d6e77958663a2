"""The probe, the reading of results, and clients in several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import probe
from benchmarks.aims import AIMS, against_aims
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


def test_every_line_of_the_probe_is_saved_when_it_is_printed(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run ends in the middle of a section."""
    lines = iter(range(3))

    def stops(*_: object, **__: object) -> float:
        if next(lines) == 2:
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr(probe.Bench, "ms", stops)
    with pytest.raises(KeyboardInterrupt):
        probe.main(["ceilings", "--dry"])
    (saved,) = results.iterdir()
    found = json.loads(saved.read_text())["found"]["ceilings"]
    assert list(found) == ["product of 256³", "copy of 1 MiB"]


def test_a_way_that_fails_is_told_beside_the_others(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CPU has no product with a wider sum within; a section that fails stops no other."""
    probe.main(["products", "between", "--dry"])
    printed = capsys.readouterr().out
    assert "float32 sum within FAILED" in printed
    (saved,) = results.iterdir()
    found = json.loads(saved.read_text())["found"]
    (down,) = [ways for what, ways in found["products"].items() if what.startswith("down")]
    assert "failed" in down["float32 sum within"]
    assert down["float32 sum after"]["ms"] > 0
    assert found["between"]


def test_our_own_kernels_are_a_way_where_there_are_any(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its name; one that is not there is left out."""
    asked: list[str] = []
    kernels = SimpleNamespace(swiglu=lambda *_: asked.append("swiglu"))
    monkeypatch.setattr(probe, "our_kernels", lambda: kernels)
    monkeypatch.setattr(probe, "KernelConnector", lambda backbone, _: backbone.connect)
    probe.main(["connector", "--dry"])
    (saved,) = results.iterdir()
    found = json.loads(saved.read_text())["found"]["connector"]
    assert [what for what, ways in found.items() if "ours" in ways] == [
        "connector of 1 crops",
        "swiglu, 144 tokens",
    ]
    assert asked


def test_no_line_is_begun_after_the_budget(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said that there was no time."""
    probe.main(["ceilings", "--dry", "--budget-s", "0"])
    assert "no time was left" in capsys.readouterr().out


def row(crops: int, share: float, **more: Any) -> dict[str, Any]:
    ours = {"variant": "cuda-graphs", "scope": "vision", "ratio": None, "fraction": share}
    return {"total_crops": crops, "ms": {"p50": 1.0}, "floor_ms": share, **ours, **more}


def rival(crops: int, name: str, ratio: float) -> dict[str, Any]:
    compared = {"ratio": ratio, "low": ratio, "high": ratio}
    return row(crops, 0.1, variant=name, scope="vit", ratio=compared)


def test_the_largest_miss_is_named() -> None:
    """Beside each aim stand what was reached and the rival that came nearest."""
    shares = {crops: aim + 0.01 for crops, aim in AIMS.items()} | {9: 0.64, 12: 0.69}
    rows = [row(crops, share) for crops, share in shares.items()]
    rivals = [rival(9, "timm", 1.5), rival(9, "transformers", 1.2)]
    said = list(against_aims({"cuda": "13.0", "ours": "cuda-graphs", "rows": [*rows, *rivals]}))
    assert said[-1] == "the largest miss is at 9 crops: 64% where 70% was aimed at"
    (nine,) = [one for one in said if one.startswith("    9 crops")]
    assert "64%" in nine
    assert "nearest: transformers (vit), 1.20x" in nine
    (seven,) = [one for one in said if one.startswith("    7 crops")]
    assert "no rival" in seven


def test_aims_that_are_met_are_said_to_be() -> None:
    """And there is nothing to read in what a CPU did, or where ours was not timed."""
    rows = [row(1, 0.44), row(4, 0.61)]
    result = {"cuda": "13.0", "ours": "cuda-graphs", "rows": rows}
    assert "no aim is missed" in list(against_aims(result))[-1]
    assert list(against_aims({**result, "cuda": None})) == []
    assert list(against_aims({**result, "ours": None})) == []


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
