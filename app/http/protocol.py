"""Bound the head of a request, and the rest of a refused body, on every connection.

uvicorn limits neither the size of a head nor the time of its arrival, and it reads the rest of a
refused body for ever.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus

from starlette.types import Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.http.problems import problem

MOST_HEAD_BYTES = 32 * 2**10
"""Request line and headers together. Clients send 1 or 2 KB."""

HEAD_TIMEOUT_S = 10.0
"""Time from the connection, or from the first byte of a further request, to the end of a head."""

LINGER_S, LINGER_BYTES = 1.0, 2**20
"""Time and bytes for a client to notice the answer to a body that it is still sending."""


class BoundedProtocol(HttpToolsProtocol):
    """Speak HTTP with bounds on the head of a request and on the rest of a refused body.

    A head that is too large gets 431, a late one 408. An answer before the end of a body closes the
    connection in two steps: first the own side, and a moment later the whole. An immediate close
    would reset the connection, and many clients would not see the answer.
    """

    _in_head = True
    _begins_here = False
    _head_bytes = 0
    _deadline: TimerHandle | None = None
    _lingering: TimerHandle | None = None
    _discarded_bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        if self._lingering is not None:
            self._lingering.cancel()

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        if self._deadline is None and self.cycle is not None and self.cycle.response_complete:
            self._expect_head()
        self._begins_here = False
        super().data_received(data)
        if self._in_head and not self._begins_here:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse_large_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._begins_here = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        self._head_bytes = len(self.url) + sum(
            len(name) + len(value) for name, value in self.headers
        )
        if self._head_bytes > MOST_HEAD_BYTES:
            raise ValueError("the head is too large")  # the parser stops, and calls for a 400
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read, or was stopped at; called by uvicorn."""
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_large_head()
        else:
            self._refuse(400, "malformed-request", msg)

    def linger(self) -> None:
        """Close the own side now, and the connection when the client had time to notice."""
        if self._lingering is None and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.flow.resume_reading()
            self._lingering = self.loop.call_later(LINGER_S, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def closing(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_and_close(message: Message) -> None:
                if message["type"] == "http.response.start" and cycle.more_body:
                    cycle.keep_alive = False  # uvicorn says so in a header, and closes
                    cycle.transport = _LingeringTransport(self)  # type: ignore[assignment]
                await send(message)

            await app(scope, receive, send_and_close)  # type: ignore[arg-type]

        super()._start_asgi_task(cycle, closing)  # type: ignore[arg-type]

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse_late_head)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_late_head(self) -> None:
        detail = f"the head of the request did not arrive in {HEAD_TIMEOUT_S:g} s"
        self._refuse(408, "request-timeout", detail, limit=HEAD_TIMEOUT_S)

    def _refuse_large_head(self) -> None:
        detail = f"the head of the request has more than {MOST_HEAD_BYTES} bytes"
        self._refuse(431, "head-too-large", detail, limit=MOST_HEAD_BYTES, actual=self._head_bytes)

    def _refuse(self, status: int, slug: str, detail: str, **numbers: float) -> None:
        self._stop_waiting()
        phrase = HTTPStatus(status).phrase
        close = {"connection": "close"}
        answer = problem(status, slug=slug, title=phrase, detail=detail, headers=close, **numbers)
        headers = (b"%s: %s\r\n" % header for header in answer.raw_headers)
        self.logger.info("%s refused: %s", self.client, detail)
        self.transport.write(b"".join([STATUS_LINE[status], *headers, b"\r\n", bytes(answer.body)]))
        self.linger()


class _LingeringTransport:
    """Stand for the transport of a response that ends before the request does."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.linger
