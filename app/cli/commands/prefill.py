"""Define ``prefill``: measure the cost of a prompt token on a language model's server."""

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.cli.tables.plan_table import table_of
from app.cli.tables.profile_table import interval, milliseconds
from app.cli.terminal import console, print_json
from app.schemas.prefill import PrefillAnswer

DEFAULT_TOKENS = "256,512,1024,1536,2048"
"""Send prompts on both sides of Molmo's cost of an image: about 300 to 1,500 tokens."""


def parse_lengths(text: str) -> tuple[int, ...]:
    """Read ``64,256`` as prompts of 64 and of 256 tokens."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 7 for part in parts):
        raise typer.BadParameter(
            f"these are lengths of prompts in tokens, as in {DEFAULT_TOKENS}",
            param_hint="--tokens",
        )
    return tuple(int(part) for part in parts)


def prefill(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="An OpenAI-compatible server: vLLM, SGLang, TGI, …"),
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="As the server names it; by default its only one."),
    ] = None,
    tokens: Annotated[
        str,
        typer.Option(metavar="N,N,…", help="About how long the prompts are; three at least."),
    ] = DEFAULT_TOKENS,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Timed prompts of each length.")
    ] = 9,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Ask for chat completions, where there are no plain ones."),
    ] = False,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE", help="Name of the environment variable with the server's key."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="Seconds that one answer may take.")
    ] = 120,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every point; errors too, on stderr.")
    ] = False,
) -> None:
    """Measure the time that each prompt token adds to the first token, on a server you run.

    Sends prompts of several lengths, one at a time, in shuffled rounds. The server should have
    nothing else to do. Prints the settings that add the cost to the service's answers.
    """
    lengths = parse_lengths(tokens)
    # Late: other commands need no HTTP client.
    from app.prefill.measure import measure_prefill
    from app.prefill.server import FirstToken, ModelServer

    told = console(stderr=True)
    key = _key(api_key_env)
    with (
        ModelServer(url, api_key=key, chat=chat, timeout_s=timeout) as server,
        told.status("asking the server for its models") as status,
    ):

        def show(done: int, total: int, last: FirstToken) -> None:
            took = f"{last.prompt_tokens:,} tokens, {last.ms:,.1f} ms"
            status.update(f"{done} of {total} prompts; the last one: {took}")

        named = model or _only_model(server.models())
        measured = measure_prefill(server, named, lengths, rounds, progress=show)
        answer = PrefillAnswer.of(
            measured.fit,
            url=server.url,
            path=server.path,
            model=named,
            cached_tokens=measured.cached_tokens,
        )
    if as_json:
        print_json(answer)
    else:
        _print(console(), answer)


def _key(variable: str | None) -> str | None:
    """Read the key from an environment variable; never print the name, which may be the key."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise typer.BadParameter(
            "there is no environment variable of that name, or it is empty; the key itself never "
            "belongs on a command line",
            param_hint="--api-key-env",
        )
    return key


def _only_model(models: list[str]) -> str:
    if len(models) == 1:
        return models[0]
    known = f"the server has {', '.join(models)}" if models else "the server names none"
    raise typer.BadParameter(f"say which model; {known}", param_hint="--model")


def _print(out: Console, answer: PrefillAnswer) -> None:
    """Print the measured lengths, the fitted line, the doubts, and the settings."""
    out.print(Text.assemble((answer.model, "bold"), f" at {answer.url}{answer.path}"))
    out.print()
    lengths = table_of(
        "Time to the first token, ms",
        (
            ("Prompt\ntokens>", lambda one: f"{one.tokens:,.0f}"),
            ("p50>", lambda one: milliseconds(one.ms.p50)),
            ("95 %>", lambda one: interval(one.ms)),
            ("Line>", lambda one: milliseconds(one.line_ms)),
            ("Off>", lambda one: f"{one.off:+.1%}"),
        ),
        answer.lengths,
    )
    out.print(lengths)
    out.print()
    out.print(_line(answer))
    if answer.doubt is not None:
        out.print(f"in doubt: {answer.doubt}", style="yellow")
    if answer.cached_tokens:
        out.print(
            f"the server had up to {answer.cached_tokens:,} tokens of a prompt in its cache "
            "(its chat template, if any); they cost nothing and are counted all the same",
            style="yellow",
        )
    out.print()
    for name, value in answer.settings.items():
        out.print(f"export {name}={value}", style="bold green", soft_wrap=True)


def _line(answer: PrefillAnswer) -> str:
    return (
        f"{answer.ms_per_token:.4g} ms a token{_within(answer.ms_per_token_interval)} and "
        f"{answer.base_ms:.4g} ms besides{_within(answer.base_ms_interval)}; R² {answer.r2:.4f}; a "
        f"length left out of the fit is missed by {answer.leave_one_out:.1%} at most"
    )


def _within(limits: tuple[float, float] | None) -> str:
    return "" if limits is None else f" ({limits[0]:.4g} to {limits[1]:.4g})"
