from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.report.crop_overlap import JSON_FILE, REPORT_FILE
from tests.cli.conftest import Run


@pytest.fixture
def folder(photo: Path) -> Path:
    """A folder with one photo in it."""
    folder = photo.parent / "photos"
    folder.mkdir()
    photo.rename(folder / photo.name)
    return folder


def test_a_folder_becomes_a_report(run: Run, folder: Path, tmp_path: Path) -> None:
    """Findings on the terminal, and where the report is; the options reach the analysis."""
    out = tmp_path / "out"
    done = run("experiment", folder, "-o", out, "--no-crops", "--max-crops", 4, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "The one image gets 4 grid crops and the global one, 5 in all" in done.stdout
    assert "No image gets 12 grid crops; nearest are 4." in done.stdout
    assert str(out / REPORT_FILE) in done.stdout
    assert not (out / "crops").exists()
    assert json.loads((out / JSON_FILE).read_text())["config"]["max_crops"] == 4


def test_an_image_that_is_skipped_shows_in_the_exit_code(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """Everything else is there; with --json only JSON is on stdout."""
    (folder / "te\x1bxt.jpg").write_text("no image")
    out = tmp_path / "out"
    done = run("experiment", folder, "-o", out, "--no-crops", "--json")
    assert done.exit_code == 3
    assert "te\ufffdxt.jpg: the bytes are not a JPEG" in done.stderr
    assert json.loads(done.stdout) == json.loads((out / JSON_FILE).read_text())


def test_an_earlier_run_is_not_replaced_by_accident(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / JSON_FILE).write_text("mine")
    refused = run("experiment", folder, "-o", out, "--no-crops")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (out / JSON_FILE).read_text() == "mine"
    assert run("experiment", folder, "-o", out, "--no-crops", "--force").exit_code == 0


def test_a_folder_without_images_is_an_error(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("experiment", empty, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "no image" in done.stderr


def test_the_command_in_a_report_makes_it_again(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed where the folder is, whatever it is called and whatever was asked."""
    odd = folder.rename(folder.with_name("-my $HOME's photos"))
    first = tmp_path / "first"
    asked = ("--num-images", 2, "--target-max-crops", 4, "--no-crops", "--max-crops", 6)
    more = ("--overlap-margins", "2,4", "--crop-size-px", 280, "--model", "molmoe-1b-0924")
    assert run("experiment", odd, "-o", first, *asked, *more).exit_code == 0
    report = (first / REPORT_FILE).read_text()
    found = re.search(r"<pre><code>(.*?)</code></pre>", report)
    assert found
    _, *arguments = shlex.split(html.unescape(found[1]))
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "-o", "second").exit_code == 0
    for name in (REPORT_FILE, JSON_FILE):
        assert (tmp_path / "second" / name).read_bytes() == (first / name).read_bytes()


def test_a_folder_that_cannot_be_written_to_is_an_error(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """Said before anything is drawn."""
    (tmp_path / "file").write_text("a file")
    done = run("experiment", folder, "-o", tmp_path / "file" / "out")
    assert done.exit_code == 2
    assert "Not a directory" in re.sub(r"[\s│]+", " ", done.stderr)  # it is told in a box


HELD = """
import signal, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from app.report import drawing

here = Path(__file__).parent

def draw(*_):
    (here / "drawing").touch()
    while not (here / "go on").exists():
        time.sleep(0.01)
    return b"a picture"

class Pool(ProcessPoolExecutor):
    def shutdown(self, wait=True, *, cancel_futures=False):
        manager = self._executor_manager_thread
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        (here / "ending").touch()
        manager.join()

drawing.draw, drawing.ProcessPoolExecutor = draw, Pool
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    from app.cli import main
    main()
"""
"""The command, whose processes draw once they are told to. They run this file, too."""


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """As long as the process runs; the limit is for one that hangs."""
    limit = time.monotonic() + 300
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, f"{file.name} never came"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_leaves_an_earlier_run_whole(folder: Path, tmp_path: Path) -> None:
    """While pictures are drawn by other processes; the exit code is that of an interrupt."""
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    for name in (JSON_FILE, REPORT_FILE):
        (out / name).write_text("earlier")
    (tmp_path / "held.py").write_text(HELD)
    command = [sys.executable, str(tmp_path / "held.py"), "experiment", str(folder)]
    process = subprocess.Popen(
        [*command, "-o", str(out), "--force", "--num-images", "7", "--no-crops", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        wait_for(tmp_path / "drawing", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
        wait_for(tmp_path / "ending", process)
        (tmp_path / "go on").touch()
        _, told = process.communicate()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode in (130, -signal.SIGINT)  # a shell shows 130 for either
    assert told == b""
    assert not list(out.glob(".*"))
    # Of 7 images, two are being drawn and a pool has three more in its queue.
    assert len(list(out.glob("*.png"))) <= 3 * 5
    for name in (JSON_FILE, REPORT_FILE):
        assert (out / name).read_text() == "earlier"
