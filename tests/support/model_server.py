"""A model server on a real socket, whose clock runs only where its delays are.

It streams as vLLM does: a chunk that says whose turn it is (in chats), one with the token, one that
ends the answer, the counts, and ``[DONE]``. A token is a word.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from support.waiting import until

Reply = Callable[[], Response]


class FakeClock:
    """Seconds that pass only where somebody says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wait_ms(self, ms: float) -> None:
        self.seconds += ms / 1e3


@dataclass
class FakeModelServer:
    """``delay_ms`` of the prompt's tokens pass before the first token, and as many after it.

    ``reply``, if there is one, is answered instead. ``asked`` and ``headers`` are what came.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    delay_ms: Callable[[int], float] = lambda tokens: 8 + 0.25 * tokens
    models: tuple[str, ...] = ("tiny",)
    template_tokens: int = 0
    cached_tokens: int = 0
    reply: Reply | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def prompts(self) -> list[str]:
        return [prompt_of(question) for question in self.asked]

    def events(self, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
        chat = "messages" in question
        tokens = len(prompt_of(question).split()) + self.template_tokens
        if chat:
            yield {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None}
        self.clock.wait_ms(self.delay_ms(tokens))
        text = {"delta": {"content": "a"}} if chat else {"text": "a"}
        yield {"choices": [{**text, "finish_reason": None}]}
        self.clock.wait_ms(self.delay_ms(tokens))
        yield {"choices": [{"delta": {}, "text": "", "finish_reason": "length"}]}
        cached = {"cached_tokens": self.cached_tokens}
        yield {"choices": [], "usage": {"prompt_tokens": tokens, "prompt_tokens_details": cached}}

    async def complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        if self.reply is not None:
            return self.reply()
        return streamed(self.events(self.asked[-1]))

    async def list_models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": name} for name in self.models]})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self.list_models),
                Route("/v1/completions", self.complete, methods=["POST"]),
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
            ]
        )


def prompt_of(question: dict[str, Any]) -> str:
    return question["messages"][0]["content"] if "messages" in question else question["prompt"]


def streamed(events: Iterator[dict[str, Any]]) -> Response:
    """Events and what ends them, each in a chunk of its own, so that they are not sent together."""

    async def chunks() -> AsyncIterator[str]:
        for event in events:
            yield f"data: {json.dumps(event)}\r\n\r\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


@contextmanager
def serving(server: FakeModelServer) -> Iterator[FakeModelServer]:
    """Run it on a free port of this machine; ``url`` says where."""
    config = uvicorn.Config(
        server.app(),
        port=0,
        log_config=None,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        running.should_exit = True
        thread.join()
