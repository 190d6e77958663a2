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
from typing import Any, Self

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
    """``delay_ms`` of the prompt's tokens pass before the first token.

    ``reply`` and ``model_list``, where given, are answered instead. ``asked``, ``headers`` and
    ``peers`` are what came, and from where.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    delay_ms: Callable[[int], float] = lambda tokens: 8 + 0.25 * tokens
    models: tuple[str, ...] = ("tiny",)
    model_list: Any = None
    tokens_per_word: int = 1
    template_tokens: int = 0
    cached_tokens: int = 0
    reply: Reply | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: list[Any] = field(default_factory=list)
    url: str = ""

    def prompts(self) -> list[str]:
        return [prompt_of(question) for question in self.asked]

    def events(self, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
        chat = "messages" in question
        tokens = len(prompt_of(question).split()) * self.tokens_per_word + self.template_tokens
        if chat:
            yield {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None}
        self.clock.wait_ms(self.delay_ms(tokens))
        text = {"delta": {"content": "a"}} if chat else {"text": "a"}
        yield {"choices": [{**text, "finish_reason": None}]}
        yield {"choices": [{"delta": {}, "text": "", "finish_reason": "length"}]}
        cached = {"cached_tokens": self.cached_tokens}
        yield {"choices": [], "usage": {"prompt_tokens": tokens, "prompt_tokens_details": cached}}

    async def complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        self.peers.append(request.client)
        return streamed(self.events(self.asked[-1])) if self.reply is None else self.reply()

    def list_models(self) -> Response:
        named = {"data": [{"id": name} for name in self.models]}
        return JSONResponse(named if self.model_list is None else self.model_list)


def prompt_of(question: dict[str, Any]) -> str:
    return question["messages"][0]["content"] if "messages" in question else question["prompt"]


def streamed(events: Iterator[dict[str, Any]]) -> Response:
    """Events and what ends them, each in a chunk of its own."""

    async def chunks() -> AsyncIterator[str]:
        for event in events:
            yield f"data: {json.dumps(event)}\r\n\r\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


class Socket:
    """A port of this machine where the server is one test's at a time, as starting takes long."""

    url: str
    server: FakeModelServer

    def fresh(self) -> FakeModelServer:
        self.server = FakeModelServer(url=self.url)
        return self.server

    async def _complete(self, request: Request) -> Response:
        return await self.server.complete(request)

    async def _models(self, request: Request) -> Response:
        return self.server.list_models()

    @contextmanager
    def open(self) -> Iterator[Self]:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        app = Starlette(routes=routes)
        config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run)
        thread.start()
        try:
            until(lambda: running.started)
            self.url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
            yield self
        finally:
            running.should_exit = True
            thread.join()
