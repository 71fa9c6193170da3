"""Answers of a server that may be hostile or broken: so many bytes and so many seconds, then no more.

The timeout of `requests` bounds the wait for each piece, not their number: a server that sends a byte now and then, or
headers without end, is waited for as long as it likes. Here all of one answer, redirects and repetitions included, has
one bound; its body, as unpacked, another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from models.errors import InvalidInput

MAX_BYTES = 64 * 2**20
"""Of one answer. The largest that a history makes (`planner.metrics_history`) is a tenth of it."""
_PIECE = 65_536
MAX_QUESTION = 4_000
"""Characters of parameters that go into an address: a proxy before the server often takes no more than 8 kB."""

Answer = TypeVar("Answer")


def bounded_session(address: str, *, retry: Retry, max_bytes: int = MAX_BYTES) -> Session:
    """A session whose every response, on the way of a redirect too, is read at once and up to `max_bytes`."""
    session = _LongQuestions()
    for prefix in ("http://", "https://"):
        session.mount(prefix, _BoundedAdapter(address, max_bytes=max_bytes, max_retries=retry))
    return session


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns or raises. Raises TimeoutError where it takes longer; it is then left to itself.

    In a thread, as nothing else ends a name's look-up or the reading of a header.
    """
    answers: list[Answer] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as failure:  # noqa: BLE001 -- raised again where it belongs
            failures.append(failure)

    worker = threading.Thread(target=work, name="question", daemon=True)
    worker.start()
    worker.join(seconds)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError
    return answers[0]


class _LongQuestions(Session):
    """Puts parameters that are too long for an address into the body of a POST, which asks the same of PromQL's API."""

    def request(self, method: str, url: str | bytes, params: Any = None, **options: Any) -> Response:  # type: ignore[override]
        if params and len(urlencode(params)) > MAX_QUESTION:
            return super().request("POST", url, data=params, **options)
        return super().request(method, url, params=params, **options)


class _BoundedAdapter(HTTPAdapter):
    """Reads a body whole, or refuses it."""

    def __init__(self, address: str, *, max_bytes: int, max_retries: Retry) -> None:
        super().__init__(max_retries=max_retries)
        self._address, self._max_bytes = address, max_bytes

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        response = super().send(request, *arguments, **{**options, "stream": True})
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > self._max_bytes:
                response.close()
                raise InvalidInput(
                    f"{self._address} answers with more than {self._max_bytes / 2**20:.3g} MiB, which is not read "
                    "further",
                    remedy="is it Prometheus? choose fewer series with --match, a shorter --last or a longer --window",
                )
        response._content = bytes(body)  # noqa: SLF001 -- where `Response.content` puts what it read
        return response
