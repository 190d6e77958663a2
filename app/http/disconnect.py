"""Stop working for a client that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

T = TypeVar("T")


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await ``work``, but cancel it when the client disconnects. Only once the body is read.

    Servers do not cancel a handler whose client has gone; they tell it if it asks to receive more.

    Raises:
        ClientDisconnect: the client has gone.
    """
    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(_cancel_when_gone(request, scope))
        try:
            return await work
        finally:
            watcher.cancel()
    raise ClientDisconnect


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # an empty rest of the body
    scope.cancel()
