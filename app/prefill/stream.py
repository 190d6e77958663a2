"""Read the answers of model servers: streams of completions, and errors in several shapes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.core.errors import ModelServerError

Json = Mapping[str, Any]

LONGEST_MESSAGE = 500
"""A server's own words are cut to this length: some servers answer with a page of HTML."""


def stream_events(chunks: Iterable[bytes]) -> Iterator[Json]:
    """Yield the JSON objects of a stream of server-sent events, to its very end.

    An event is one ``data:`` line, as sent by all servers of this protocol. Comments and ``[DONE]``
    are skipped.

    Raises:
        ModelServerError: an event is no JSON object, or reports an error.
    """
    for line in _lines(chunks):
        name, _, data = line.partition(b":")
        if name != b"data" or data.strip() == b"[DONE]":
            continue
        event = _read(data)
        if not isinstance(event, Mapping):
            told = data.decode(errors="replace").strip()[:LONGEST_MESSAGE]
            raise ModelServerError(f"the server's stream has an event that is no object: {told}")
        if event.get("error"):
            raise ModelServerError(f"the server broke its stream off: {message_of(data)}")
        yield event


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split at line feeds alone: a token's text may hold other line ends of Unicode."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    yield rest


def is_finished(event: Json) -> bool:
    """Return True at the end of the answer; an answer of one token ends with its token.

    The text is no such sign: a token may have none (half a character). Some servers first send an
    empty text with the role, or the prompt itself (chats of ``transformers serve`` 5.23).
    """
    choices = event.get("choices")
    found = choices if isinstance(choices, list) else []
    return any(isinstance(one, Mapping) and one.get("finish_reason") for one in found)


def usage_of(event: Json) -> Json | None:
    """Return the server's counts in this event, or None; usually the last event has them."""
    usage = event.get("usage")
    return usage if isinstance(usage, Mapping) else None


def prompt_tokens(usage: Json | None) -> int:
    """Return the server's count of the prompt's tokens.

    Raises:
        ModelServerError: the server gives no count.
    """
    counted = usage.get("prompt_tokens") if usage is not None else None
    if type(counted) is not int or counted < 1:
        raise ModelServerError(
            "the server does not say how many tokens a prompt had: its stream has no "
            "usage.prompt_tokens, which stream_options.include_usage asks for"
        )
    return counted


def cached_tokens(usage: Json | None) -> int:
    """Return the number of the prompt's tokens from the server's cache; 0 if not given."""
    details = usage.get("prompt_tokens_details") if usage is not None else None
    counted = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return counted if type(counted) is int else 0


def message_of(body: bytes) -> str:
    """Find the server's own words for an error, in OpenAI's shape, in others, or as plain text."""
    told = _read(body) or body.decode(errors="replace")
    for name in ("error", "message", "detail"):
        if isinstance(told, Mapping) and told.get(name):
            told = told[name]
    text = " ".join((told if isinstance(told, str) else json.dumps(told)).split())
    return text[:LONGEST_MESSAGE] or "without a word"


def _read(data: bytes) -> Any:
    """Parse a JSON value; None for other text."""
    try:
        return json.loads(data)
    except ValueError:
        return None
