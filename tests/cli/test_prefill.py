"""``crop-planner prefill`` against a server on a real socket."""

from __future__ import annotations

import json
from functools import partial

import pytest
from starlette.responses import JSONResponse
from support.model_server import FakeModelServer

from app.prefill.server import ModelServer
from app.settings import Settings
from tests.cli.conftest import Run

FAST = ("--tokens", "10,20,40", "--rounds", 6)


@pytest.fixture(autouse=True)
def clock(model_server: FakeModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tells the time by the server's clock."""
    timed = partial(ModelServer, clock=model_server.clock)
    monkeypatch.setattr("app.prefill.server.ModelServer", timed)


def test_the_settings_are_printed(
    run: Run, model_server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready for a shell; and the service reads them."""
    result = run("prefill", model_server.url, *FAST)
    assert result.exit_code == 0, result.output
    exported = dict(
        line.removeprefix("export ").split("=")
        for line in result.stdout.splitlines()
        if line.startswith("export ")
    )
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.prefill_ms_per_token, settings.prefill_base_ms) == (0.25, 8)
    assert "R² 1.0000" in result.stdout
    assert "tiny at " in result.stdout
    assert "doubt" not in result.stdout


def test_json_has_every_point(run: Run, model_server: FakeModelServer) -> None:
    """So that anyone can fit them anew."""
    answer = json.loads(run("prefill", model_server.url, *FAST, "--chat", "--json").stdout)
    assert (answer["ms_per_token"], answer["base_ms"]) == pytest.approx((0.25, 8))
    assert answer["path"] == "/v1/chat/completions"
    assert answer["ms_per_token_interval"] == pytest.approx([0.25, 0.25])
    points = {(point["tokens"], point["ms"]) for one in answer["rounds"] for point in one}
    assert points == {(10, 10.5), (20, 13.0), (40, 18.0)}


def test_what_speaks_against_it_is_printed(run: Run, model_server: FakeModelServer) -> None:
    """A staircase, and tokens that were in a cache."""
    model_server.delay_ms = lambda tokens: 100.0 if tokens < 30 else 200.0
    model_server.cached_tokens = 5
    result = run("prefill", model_server.url, *FAST)
    assert "in doubt: " in result.stdout
    assert "up to 5 tokens" in result.stdout


def test_the_key_comes_from_the_environment(
    run: Run, model_server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its variable; whoever types the key itself does not see it again."""
    monkeypatch.setenv("THE_KEY", "sk-1\n")
    asked = ("prefill", model_server.url, *FAST, "--api-key-env")
    result = run(*asked, "THE_KEY")
    assert model_server.headers[-1]["authorization"] == "Bearer sk-1"
    assert "sk-1" not in result.output
    mistaken = run(*asked, "sk-2")
    assert mistaken.exit_code == 2
    assert "environment variable" in mistaken.stderr
    assert "sk-2" not in mistaken.output


@pytest.mark.parametrize("models", [(), ("one", "two")])
def test_a_model_is_named_where_there_is_not_just_one(
    run: Run, model_server: FakeModelServer, models: tuple[str, ...]
) -> None:
    """The refusal lists what there is."""
    model_server.models = models
    result = run("prefill", model_server.url, *FAST)
    assert result.exit_code == 2
    assert all(name in result.stderr for name in models)
    assert run("prefill", model_server.url, *FAST, "--model", "two").exit_code == 0
    assert model_server.asked[-1]["model"] == "two"


def test_a_server_that_refuses_is_a_failure(run: Run, model_server: FakeModelServer) -> None:
    """Exit code 1, with its words; the problem object for programs."""
    model_server.reply = lambda: JSONResponse({"error": {"message": "no room"}}, 503)
    result = run("prefill", model_server.url, *FAST)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "503: no room" in result.stderr
    problem = json.loads(run("prefill", model_server.url, *FAST, "--json").stderr)
    assert problem["type"] == "urn:crop-planner:problem:model-server-error"


@pytest.mark.parametrize("tokens", ["64", "10,20", "a,b,c", "10,,20", "-1,2,3", "1.5,2,3", ""])
def test_lengths_that_cannot_be_used_are_refused(
    run: Run, model_server: FakeModelServer, tokens: str
) -> None:
    """Before anything is sent."""
    result = run("prefill", model_server.url, f"--tokens={tokens}")
    assert result.exit_code == 2
    assert model_server.asked == []
