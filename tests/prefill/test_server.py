"""One token from a server: what is timed, and what every failure says."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator

import anyio
import anyio.lowlevel
import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from support.model_server import FakeClock

from app.core.errors import InvalidConfig, ModelServerError
from app.prefill.server import ModelServer

PROMPT = "one two three four"
TOKEN = {"choices": [{"text": "a", "finish_reason": "length"}]}
COUNTS = {"choices": [], "usage": {"prompt_tokens": 4}}


@pytest.fixture
def asks(model_server):
    """A connection to the fake server, made with these options."""
    made = []

    def connected(**options) -> ModelServer:
        made.append(ModelServer(model_server.url, clock=model_server.clock, **options))
        return made[-1].__enter__()

    yield connected
    for server in made:
        server.__exit__(None, None, None)


def lines(*events: object) -> list[bytes]:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in events]
    return [f"data: {text}\n\n".encode() for text in texts]


def stream(chunks: Iterable[bytes]) -> StreamingResponse:
    async def sent() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return StreamingResponse(sent(), media_type="text/event-stream")


@pytest.mark.parametrize("chat", [False, True])
def test_the_time_is_that_of_the_first_token(model_server, asks, chat):
    """Not of the chunk before it that a chat has; the counts are the server's."""
    model_server.template_tokens, model_server.cached_tokens = 3, 2
    first = asks(chat=chat).first_token("tiny", PROMPT)
    assert first.ms == pytest.approx(8 + 0.25 * 7)
    assert (first.prompt_tokens, first.cached_tokens) == (7, 2)


@pytest.mark.parametrize("chat", [False, True])
def test_one_token_is_asked_for(model_server, asks, chat):
    """Streamed, not drawn by chance, and counted."""
    asks(chat=chat).first_token("tiny", PROMPT)
    (question,) = model_server.asked
    prompt = {"messages": [{"role": "user", "content": PROMPT}]} if chat else {"prompt": PROMPT}
    assert question == {
        "model": "tiny",
        **prompt,
        "max_tokens": 1,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"text": "a", "finish_reason": "length"}]},
        {"choices": [{"text": "", "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [{"text": "\u2028", "finish_reason": "length"}]},
    ],
)
def test_the_token_is_seen_in_every_shape(event):
    """When it comes, not before or after; also without a text, or after an echo of the prompt."""
    clock = FakeClock()

    class Chunks(httpx.SyncByteStream):
        """Each is made when it is read, so that the clock moves only in between."""

        def __iter__(self) -> Iterator[bytes]:
            yield from lines({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
            yield from lines({"choices": [{"delta": {"content": PROMPT}, "finish_reason": None}]})
            clock.wait_ms(5)
            # One event in two chunks, and its text as it is: no line may end within it.
            told = f": a comment\n\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
            yield from (told[:20], told[20:])
            clock.wait_ms(7)
            yield from lines(COUNTS, "[DONE]")

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Chunks()))
    with ModelServer("http://host", transport=transport, clock=clock) as server:
        assert server.first_token("tiny", PROMPT).ms == pytest.approx(5)


def test_a_connection_is_kept(model_server, asks):
    """Connecting is no part of the times: the answer is read to its end."""
    server = asks()
    for _ in range(3):
        server.first_token("tiny", PROMPT)
    assert len(set(model_server.peers)) == 1


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_address_may_end_in_v1(model_server, end):
    """As other clients want it."""
    with ModelServer(f" {model_server.url}{end}", clock=model_server.clock) as server:
        assert server.models() == ["tiny"]
        assert server.url == model_server.url


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host", "http://", "http://host?a=b", "not a url", "http://host:x"],
)
def test_what_is_no_address_is_refused(url):
    """Before anything is sent."""
    with pytest.raises(InvalidConfig, match="http://127"):
        ModelServer(url)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_used(model_server, asks, monkeypatch, proxy):
    """It would be in the times, and see the key."""
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    assert asks().first_token("tiny", PROMPT).prompt_tokens == 4


def test_the_key_is_sent_and_never_shown(model_server, asks):
    """As a bearer token; a server that repeats it is not repeated."""
    model_server.reply = lambda: JSONResponse({"error": {"message": "no sk-1 here"}}, 401)
    with pytest.raises(ModelServerError, match="401: no ") as failed:
        asks(api_key="sk-1").first_token("tiny", PROMPT)
    assert model_server.headers[-1]["authorization"] == "Bearer sk-1"
    assert "sk-1" not in str(failed.value)
    model_server.reply = None
    asks().first_token("tiny", PROMPT)
    assert "authorization" not in model_server.headers[-1]


@pytest.mark.parametrize("key", ["sk-1\nsecret", "schlüssel"])
def test_a_key_that_is_no_header_is_refused_unseen(key):
    """httpx itself would show it."""
    with pytest.raises(InvalidConfig) as refused:
        ModelServer("http://host", api_key=key)
    assert key[:4] not in str(refused.value)
    with pytest.raises(InvalidConfig) as refused:
        ModelServer("http://user:secret@host")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"error": {"message": "too\\nlong", "code": 400}}', "too long"),
        ('{"object": "error", "message": "too long"}', "too long"),
        ('{"error": "too long", "error_type": "validation"}', "too long"),
        ('{"detail": [{"msg": "too long"}]}', '[{"msg": "too long"}]'),
        ("too long", "too long"),
        ("", "without a word"),
        ("x" * 9999, "x" * 500),
    ],
)
def test_a_refusal_comes_with_the_servers_words(model_server, asks, body, reason):
    """In any of the shapes that servers have for them, at a length that can be read."""
    model_server.reply = lambda: PlainTextResponse(body, 400)
    with pytest.raises(ModelServerError) as failed:
        asks().first_token("tiny", PROMPT)
    asked = f"POST {model_server.url}/v1/completions"
    assert failed.value.detail == f"{asked} was answered with 400: {reason}"
    assert failed.value.facts == {"actual": 400}


def test_a_redirect_to_nowhere_is_a_refusal(model_server, asks):
    """Some 3xx lead nowhere."""
    model_server.reply = lambda: PlainTextResponse("pick one", 300)
    with pytest.raises(ModelServerError, match="300: pick one"):
        asks().first_token("tiny", PROMPT)


def test_redirects_are_told_and_not_followed(model_server, asks):
    """The key is for the server that was named."""
    model_server.reply = lambda: RedirectResponse("http://elsewhere/v1/completions", 307)
    with pytest.raises(ModelServerError, match="leads on to http://elsewhere/v1/completions"):
        asks(api_key="sk-1").first_token("tiny", PROMPT)
    assert len(model_server.asked) == 1


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (lines(TOKEN, "[DONE]"), "does not say how many tokens"),
        (lines(TOKEN, {"choices": [], "usage": {"prompt_tokens": None}}), "does not say how many"),
        (lines(TOKEN, {"choices": [], "usage": [4]}), "does not say how many"),
        (lines({"choices": [{"text": "a"}]}, COUNTS, "[DONE]"), "before its answer did"),
        (lines({"choices": ["?"]}, COUNTS), "before its answer did"),
        ([b'{"choices": [{"text": "a"}]}'], "before its answer did"),
        ([], "before its answer did"),
        (lines({"error": {"message": "out of memory"}}), "broke its stream off: out of memory"),
        (lines("{broken"), "no object: {broken"),
        (lines([1]), r"no object: \[1\]"),
    ],
)
def test_a_stream_that_is_none_is_an_error(model_server, asks, sent, reason):
    """Each says what was missing; nothing is guessed."""
    model_server.reply = lambda: stream(sent)
    with pytest.raises(ModelServerError, match=reason):
        asks().first_token("tiny", PROMPT)


def test_a_server_that_cannot_be_reached_is_named():
    """With the reason of the system."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with ModelServer(url) as server, pytest.raises(ModelServerError, match="reached") as failed:
            server.models()
    assert url in failed.value.detail


def test_an_answer_that_breaks_off_is_told(model_server, asks):
    """As when a server dies of a prompt."""

    def chunks() -> Iterator[bytes]:
        yield from lines(TOKEN)
        raise ConnectionAbortedError

    model_server.reply = lambda: stream(chunks())
    with pytest.raises(ModelServerError, match="broke off"):
        asks().first_token("tiny", PROMPT)


def test_silence_ends_by_the_timeout(model_server, asks):
    """A server that accepts and says nothing."""

    async def silence() -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield ""

    model_server.reply = lambda: StreamingResponse(silence())
    with pytest.raises(ModelServerError, match=r"within 0\.01 s") as failed:
        asks(timeout_s=0.01).first_token("tiny", PROMPT)
    assert failed.value.facts == {"limit": 0.01}


def test_so_does_an_answer_without_end(model_server, asks):
    """Though something comes all the time."""

    async def comments() -> AsyncIterator[str]:
        while True:
            model_server.clock.wait_ms(1000)
            yield ": still there\n\n"
            await anyio.lowlevel.checkpoint()

    model_server.reply = lambda: StreamingResponse(comments())
    with pytest.raises(ModelServerError, match="within 60 s"):
        asks().first_token("tiny", PROMPT)


@pytest.mark.parametrize("answer", [{"models": []}, {"data": [3]}, [], "text"])
def test_what_is_no_list_of_models_is_an_error(model_server, asks, answer):
    """Then the model must be named."""
    model_server.model_list = answer
    with pytest.raises(ModelServerError, match="does not list"):
        asks().models()
