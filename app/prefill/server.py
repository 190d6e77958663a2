"""Ask an OpenAI-compatible server (vLLM, SGLang, TGI, llama.cpp, …) for one token at a time."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from app.core.errors import InvalidConfig, ModelServerError
from app.prefill import stream


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Hold the ms from sending a prompt to its first token, and the server's counts."""

    ms: float
    prompt_tokens: int
    cached_tokens: int


class ModelServer:
    """Hold one open connection to a model server; a context manager closes it.

    Requests go straight to the server and follow no redirects. A proxy of the environment is not
    used: it would add to the times and see the key.

    Args:
        url: the server's address, with or without ``/v1``.
        api_key: sent as a bearer token; no error repeats the key.
        chat: use chat completions, with the server's template around each prompt.
        timeout_s: the longest time for one answer.
        transport, clock: replaced by tests; the clock counts seconds.

    Raises:
        InvalidConfig: an impossible address or key, or an address with a password.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        chat: bool = False,
        timeout_s: float = 60,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.url = _address(url)
        self.path = "/v1/chat/completions" if chat else "/v1/completions"
        self._chat, self._key, self._timeout_s, self._clock = chat, api_key, timeout_s, clock
        self._client = httpx.Client(
            headers=_headers(api_key),
            timeout=timeout_s,
            transport=transport,
            trust_env=False,
            # httpx itself ignores the system's certificate authorities without the environment.
            verify=ssl.create_default_context(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def models(self) -> list[str]:
        """List the names of the server's models.

        Raises:
            ModelServerError: the server cannot be reached, or gives no list.
        """
        with self._telling():
            answer = self._client.get(f"{self.url}/v1/models")
            _check(answer)
            try:
                return [str(model["id"]) for model in answer.json()["data"]]
            except (ValueError, KeyError, TypeError):
                raise ModelServerError("the server does not list its models") from None

    def first_token(self, model: str, prompt: str) -> FirstToken:
        """Send a prompt, wait for one token, and read the answer to its end.

        The end leaves the connection open and the server without further work.

        Raises:
            ModelServerError: no answer, an error, or an answer without its end or the counts.
        """
        question = self._question(model, prompt)
        request = self._client.build_request("POST", self.url + self.path, json=question)
        with self._telling():
            started = self._clock()
            answer = self._client.send(request, stream=True)
            try:
                _check(answer)
                return self._read(answer, started)
            finally:
                answer.close()

    def _question(self, model: str, prompt: str) -> dict[str, Any]:
        """Ask for one token without sampling, as a stream with the counts."""
        told = [{"role": "user", "content": prompt}]
        return {
            "model": model,
            **({"messages": told} if self._chat else {"prompt": prompt}),
            "max_tokens": 1,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _read(self, answer: httpx.Response, started: float) -> FirstToken:
        first_ms, usage = None, None
        for event in stream.stream_events(self._in_time(answer.iter_bytes(), started)):
            if first_ms is None and stream.is_finished(event):
                first_ms = (self._clock() - started) * 1e3
            usage = stream.usage_of(event) or usage
        if first_ms is None:
            raise ModelServerError(
                "the server's stream ended before its answer did: no finish_reason"
            )
        return FirstToken(first_ms, stream.prompt_tokens(usage), stream.cached_tokens(usage))

    def _in_time(self, chunks: Iterator[bytes], started: float) -> Iterator[bytes]:
        """Pass chunks on up to the timeout; httpx itself only limits the wait for each chunk."""
        for chunk in chunks:
            if self._clock() - started > self._timeout_s:
                raise self._too_late()
            yield chunk

    def _too_late(self) -> ModelServerError:
        limit = self._timeout_s
        return ModelServerError(f"no whole answer from {self.url} within {limit:g} s", limit=limit)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn every failure into a ModelServerError without the key."""
        try:
            with self._ours():
                yield
        except ModelServerError as error:
            if not self._key:
                raise
            detail = error.detail.replace(self._key, "(the key)")
            raise ModelServerError(detail, **error.facts) from None

    @contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            raise self._too_late() from None
        except httpx.ConnectError as error:
            raise ModelServerError(f"{self.url} cannot be reached: {error}") from None
        except httpx.HTTPError as error:
            told = str(error) or type(error).__name__
            raise ModelServerError(f"the answer of {self.url} broke off: {told}") from None


def _address(url: str) -> str:
    """Check an address, and cut ``/v1`` and slashes off its end."""
    try:
        read = httpx.URL(url.strip())
    except httpx.InvalidURL:
        read = httpx.URL("")
    if read.userinfo:
        raise InvalidConfig("a password in the URL would be shown", parameter="url")
    if read.scheme not in ("http", "https") or not read.host or read.query or read.fragment:
        raise InvalidConfig(
            "the URL of a server is like http://127.0.0.1:8000 or https://HOST/PATH",
            parameter="url",
        )
    return str(read).rstrip("/").removesuffix("/v1").rstrip("/")


def _headers(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not api_key.isascii() or not api_key.isprintable():
        # An error of httpx would show the key.
        raise InvalidConfig(
            "the key has characters that no header can have, perhaps the end of a line",
            parameter="api_key",
        )
    return {"Authorization": f"Bearer {api_key}"}


def _check(answer: httpx.Response) -> None:
    """Raise ModelServerError with the server's own reason, unless the answer is a success."""
    if answer.is_success:
        return
    asked = f"{answer.request.method} {answer.request.url}"
    if answer.has_redirect_location:
        to = answer.headers["location"]
        raise ModelServerError(
            f"{asked} leads on to {to}, which is not followed; give the server's own address"
        )
    reason = stream.message_of(answer.read())
    status = answer.status_code
    raise ModelServerError(f"{asked} was answered with {status}: {reason}", actual=status)
