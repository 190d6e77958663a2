"""The examples of the pages work: calls are answered, and commands have the options shown."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
import typer

from app.cli.application import app as command_line
from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
[PROFILE] = (ROOT / "benchmarks" / "results").glob("profile_molmo-7b-d-0924_*.json")
HOST = "http://127.0.0.1:8000"

REFUSED = {"mode=fit": "unreachable-target", "hieght": "invalid-parameters"}
"""The examples that are refused, by a part of their address."""
WITHOUT_ENCODER = "encoder-unavailable"


def lines(page):
    """Return the shell commands of a page, each on one line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def calls(page):
    """Return the arguments of each curl."""
    commands = [
        re.findall(r"\bcurl ((?:'[^']*'|\"[^\"]*\"|[^|>;)])*)", line) for line in lines(page)
    ]
    return [shlex.split(found) for line in commands for found in line]


CALLS = dict.fromkeys(
    tuple(call) for page in PAGES for call in calls(page) if any(HOST in part for part in call)
)
"""Name each call once."""


def request(call):
    """Make the request that curl would make of these arguments, with the sample as the photo."""
    headers, method, body, url = {}, "GET", None, ""
    arguments = iter(call)
    for argument in arguments:
        if argument == "-H":
            name, _, value = next(arguments).partition(": ")
            headers[name] = value
        elif argument in ("--data-binary", "-d"):
            data = next(arguments)
            sample = DOCS / "samples" / "rocket.jpg"
            method, body = "POST", sample.read_bytes() if data[0] == "@" else data.encode()
        elif argument == "-X":
            method = next(arguments)
        elif argument in ("-o", "-D", "--retry", "--retry-delay"):
            next(arguments)
        elif argument.startswith(HOST):
            url = argument.removeprefix(HOST) or "/"
    return httpx.Request(method, f"http://test{url}", headers=headers, content=body)


@pytest.fixture(scope="module")
def service():
    return create_app(Settings(encoder=False, profile=PROFILE, profile_on_start=False))


@pytest.mark.anyio
@pytest.mark.parametrize("call", CALLS)
async def test_every_call_of_the_pages_is_answered(call, service):
    made = request(call)
    if "$" in str(made.url):
        pytest.skip("its address is another call's answer")
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport) as client:
        answer = await client.send(made)
    refused = [slug for part, slug in REFUSED.items() if part in str(made.url)]
    if answer.status_code < 400:
        assert not refused
    else:
        slug = answer.json()["type"].rpartition(":")[2]
        assert slug in [*refused, WITHOUT_ENCODER], answer.text


def commands(page):
    """Return the arguments of each crop-planner."""
    found = [re.search(r"(?:bin/|^)crop-planner ([^|>#&;}]*)", line) for line in lines(page)]
    return [shlex.split(one[1]) for one in found if one]


COMMANDS = dict.fromkeys(tuple(command) for page in PAGES for command in commands(page))


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_of_the_pages_has_these_options(arguments):
    """The command line is only parsed: no file is read, and nothing runs."""
    group = typer.main.get_command(command_line)
    command = group.commands[arguments[0]]
    command.make_context(arguments[0], list(arguments[1:]), resilient_parsing=True)


def test_every_command_and_option_is_in_the_reference():
    page = (DOCS / "reference" / "command-line.md").read_text()
    for name, command in typer.main.get_command(command_line).commands.items():
        assert f"| `{name}` |" in page, name
        options = [
            option for each in command.params for option in (*each.opts, *each.secondary_opts)
        ]
        for option in options:
            assert f"`{option}" in page or not option.startswith("-"), f"{name}: {option}"


def test_the_pages_have_examples():
    """The patterns above find them."""
    assert len(CALLS) > 20
    assert len(COMMANDS) > 20
