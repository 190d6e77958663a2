"""An answer with an ``ETag``, which a client that has it already need not receive again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import Response
from starlette.types import Receive, Scope, Send

from app.http.answers import header


class Tagged(Response):
    """Sends itself, or 304 to a request whose ``If-None-Match`` names it; as often as asked."""

    def __init__(self, content: str, media_type: str, headers: Mapping[str, str]) -> None:
        body = content.encode()
        self._etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        tagged = {"ETag": self._etag, **headers}
        super().__init__(body, media_type=media_type, headers=tagged)
        self._not_modified = Response(status_code=304, headers=tagged)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_had_by(header(scope, b"if-none-match")):
            await self._not_modified(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _is_had_by(self, if_none_match: str) -> bool:
        """Weak comparison, as RFC 9110 asks of If-None-Match."""
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return self._etag in tags or "*" in tags
