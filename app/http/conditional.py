"""Answers without their body: to HEAD, and to a client that has the body already (``ETag``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Tagged(Response):
    """Answer with an ``ETag``, or with 304 to a request whose ``If-None-Match`` names the tag.

    The answer may be sent any number of times.
    """

    def __init__(self, content: str, media_type: str, headers: Mapping[str, str]) -> None:
        body = content.encode()
        self._etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        tagged = {"ETag": self._etag, **headers}
        super().__init__(body, media_type=media_type, headers=tagged)
        self._not_modified = Response(status_code=304, headers=tagged)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_named_by(Headers(scope=scope).get("if-none-match", "")):
            await self._not_modified(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _is_named_by(self, if_none_match: str) -> bool:
        """Compare weakly, by RFC 9110 for If-None-Match."""
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return self._etag in tags or "*" in tags


class HeadAsGet:
    """Answer HEAD like GET without the body, by RFC 9110."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
