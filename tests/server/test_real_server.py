"""The real server on a real socket: it starts at once, survives bad clients and stops cleanly."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from support.http import JPEG, check_problem
from support.server import LOG, serving, wait_for

Start = Callable[..., tuple[subprocess.Popen, str]]


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Start ``crop-planner serve`` on a free port; whatever is left is killed in the end."""
    with ExitStack() as started:
        yield lambda **settings: started.enter_context(serving(tmp_path, **settings))


@pytest.fixture(scope="module")
def planner(tmp_path_factory) -> Iterator[tuple[subprocess.Popen, str]]:
    """Start a service without an encoder, for all tests that leave it running."""
    folder = tmp_path_factory.mktemp("planner")
    with serving(folder, encoder="false", max_upload_bytes=1_000_000) as (process, url):
        wait_for(f"{url}/healthz")
        yield process, url


def test_planning_answers_before_the_encoder_is_loaded(start):
    """Nobody waits for torch; readiness says that it is loading."""
    _, url = start(profile_on_start="false")
    plan = wait_for(f"{url}/plan?width=640&height=480").json()
    assert plan["tokens"]["prompt"] == 740
    assert "loaded" in plan["latency"]["reason"]
    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "loading")


def test_it_stops_cleanly_when_told(start):
    process, url = start(encoder="false")
    wait_for(f"{url}/healthz")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def peak_memory_kb(process: subprocess.Popen) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def test_it_stops_cleanly_in_the_middle_of_a_pass(start):
    """With the real encoder at work: torch's threads must not turn the stop into a crash."""
    process, url = start(model="molmoe-1b-0924", runtime="eager", profile_crops=13)
    wait_for(f"{url}/healthz")
    deadline = time.monotonic() + 300
    while httpx.get(f"{url}/readyz").json()["encoder"]["profile"] != "measuring":
        assert time.monotonic() < deadline, "never came to measuring"
        time.sleep(0.1)
    time.sleep(2)  # past the calibration, into the passes
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
def test_a_chunked_upload_above_the_limit_costs_no_memory(planner):
    """A client that goes on sending is told why, and what it sends is not kept."""
    process, url = planner
    before = peak_memory_kb(process)
    body = (b"x" * 100_000 for _ in range(1_000))
    answer = httpx.post(f"{url}/analyze", content=body, headers=JPEG)
    assert check_problem(answer, 413, "payload-too-large")["actual"] < 10_000_000  # of 100 MB
    assert peak_memory_kb(process) - before < 20_000
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_a_photo_goes_there_and_back(planner, photo_bytes):
    """Resized to 4 crops and analysed again, over HTTP alone."""
    _, url = planner
    resized = httpx.post(f"{url}/resize?target_crops=4", files={"image": photo_bytes})
    again = httpx.post(f"{url}/analyze", content=resized.content, headers=JPEG)
    assert again.json()["tiling"]["crops"] == 4


def test_a_wrong_setting_stops_the_start_with_a_reason(start, tmp_path):
    process, _ = start(model="molmo-8b")
    assert process.wait(120) != 0
    assert "unknown model 'molmo-8b'" in (tmp_path / LOG).read_text()
