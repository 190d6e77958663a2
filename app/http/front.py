"""Routes in front of all others, for what FastAPI has checked before.

Finding a route and checking a query take FastAPI longer than an answer that is there already. So it
does that once for each query, word for word. Each route here matches only what it knows, and leaves
the rest, errors and other methods included, to the others. What they raise becomes a problem as
anywhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from app.http.answers import Answers, query_key, route_path
from app.serving.latency.encoder_service import EncoderService


def _called(scope: Scope, method: str) -> str | None:
    """The path that is called by this method; None if it is by another."""
    if scope["type"] != "http" or scope["method"] != method:
        return None
    return route_path(scope)


class _Unnamed(BaseRoute):
    """A route no URL is made for."""

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        raise NoMatchFound(name, dict(path_params))


class KeptAnswers(_Unnamed):
    """Answers a GET as the same query was answered before, while predictions stay the same."""

    def __init__(self, answers: Answers, encoder: EncoderService, paths: frozenset[str]) -> None:
        self._answers = answers
        self._encoder = encoder
        self._paths = paths

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if _called(scope, "GET") in self._paths:
            answer = self._answers.find(self._encoder.revision, query_key(scope))
            if answer is not None:
                return Match.FULL, {"kept_answer": answer}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response = scope["kept_answer"]
        await answer(scope, receive, send)


class KnownQueries(_Unnamed):
    """Hands a POST to its handler with what the same query was found to mean before."""

    def __init__(
        self, answers: Answers, path: str, handler: Callable[[Request, Any], Awaitable[Response]]
    ) -> None:
        self._answers = answers
        self._path = path
        self._handler = handler

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if _called(scope, "POST") == self._path:
            meaning = self._answers.meaning(scope)
            if meaning is not None:
                return Match.FULL, {"meaning": meaning}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handler(Request(scope, receive, send), scope["meaning"])
        await answer(scope, receive, send)
