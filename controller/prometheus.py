"""Prometheus over HTTP: queries over a range of time, and what goes wrong on the way in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from models.errors import InvalidInput
from planner.files import read_text
from planner.metrics_server import Series

TIMEOUT_S = 30
"""Without a sign of life, a connection's or an answer's."""
ANSWER_S = 90.0
"""One answer from the question to its last byte, repetitions included."""
_RETRIES = 2
_STATUS = re.compile(r"HTTP Status Code (\d+) \((.*)\)", re.DOTALL)
_SAID = re.compile(r'"error": ?"((?:[^"\\]|\\.)*)"')


class Prometheus:
    """A server that answers PromQL: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    def __init__(
        self,
        url: str,
        *,
        bearer_token_file: Path | None = None,
        timeout_s: int = TIMEOUT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`url` may hold `user:password@`, which no message or file repeats."""
        try:
            from prometheus_api_client import PrometheusConnect
            from urllib3.util.retry import Retry

            from controller.bounded_answer import bounded_session
        except ImportError as missing:
            raise InvalidInput(
                f"Prometheus needs the package {missing.name or 'prometheus_api_client'}, which is not installed",
                remedy="install it beside Replicast: pip install 'replicast[prometheus]' in its environment",
            ) from None
        self._address, auth = _without_credentials(url)
        headers = {}
        if bearer_token_file is not None:
            headers["Authorization"] = f"Bearer {_token(bearer_token_file)}"
        # A query that took too long once is not asked again: `read=False` tells of it as it is.
        retry = Retry(
            total=_RETRIES, read=False, backoff_factor=0.2, status_forcelist=[502, 503, 504], raise_on_status=False
        )
        session = bounded_session(self._address, retry=retry)
        self._client: Any = PrometheusConnect(
            url=self._address, headers=headers, auth=auth, timeout=timeout_s, session=session
        )
        # The client has put an adapter of its own before ours, for this address.
        session.mount(self._address, session.get_adapter("http://"))
        self._answer_s = answer_s

    @property
    def address(self) -> str:
        """The URL without credentials."""
        return self._address

    def range(self, query: str, *, start_s: int, end_s: int, step_s: int) -> list[Series]:
        """The query's value at start, start + step … end, seconds since 1970."""
        from controller.bounded_answer import within

        with _told(self._address):
            answer = within(
                self._answer_s,
                lambda: self._client.custom_query_range(
                    query,
                    start_time=datetime.fromtimestamp(start_s, UTC),
                    end_time=datetime.fromtimestamp(end_s, UTC),
                    step=str(step_s),
                ),
            )
            return [_series(entry) for entry in answer]


def _series(entry: Any) -> Series:
    """One series of an answer. Raises where it is not of Prometheus's shape; a value may be NaN, a time may not."""
    points = tuple((float(time), float(value)) for time, value in entry["values"])
    if not all(math.isfinite(time) for time, _ in points):
        raise ValueError("a time that is no time")
    return Series(labels={str(name): str(value) for name, value in entry["metric"].items()}, points=points)


def _without_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without user, password, query and fragment; and user and password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        shown = re.sub(r"//.*@", "//…@", url)[:120]
        raise InvalidInput(
            f"--prometheus {shown!r} is no URL of a server", remedy="such as http://localhost:9090 or https://HOST/PATH"
        )
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", "")), auth


def _token(path: Path) -> str:
    token = read_text(path, what="bearer token file").strip()
    if not token or not token.isprintable() or not token.isascii():
        raise InvalidInput(f"bearer token file {path} holds no token", remedy="one line with the token alone")
    return token


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What can go wrong, as one message each."""
    from prometheus_api_client.exceptions import PrometheusApiClientException
    from requests import exceptions

    try:
        yield
    except InvalidInput:
        raise
    except exceptions.JSONDecodeError:
        raise _no_prometheus(address, "it answers with something that is not JSON") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, exceptions.RequestException):
            raise InvalidInput(f"--prometheus {address} cannot be asked", remedy="check the URL") from None
        raise _no_prometheus(address, "its answer is not of Prometheus's shape") from None
    except PrometheusApiClientException as error:
        raise _refused(address, str(error)) from None
    except exceptions.SSLError:
        raise InvalidInput(
            f"{address} has a certificate that is not trusted",
            remedy="let REQUESTS_CA_BUNDLE name the file of the authority that signed it",
        ) from None
    except (exceptions.Timeout, TimeoutError):
        raise InvalidInput(
            f"{address} did not answer in time", remedy="try a shorter --last or a longer --window"
        ) from None
    except exceptions.RequestException as error:
        raise InvalidInput(
            f"{address} cannot be reached ({_reason(error)})",
            remedy="is it running, and reachable from here? kubectl port-forward makes a service local",
        ) from None


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, said in (
        ("refused", "connection refused"),
        ("resolve", "the name is not known"),
        ("Name or service", "the name is not known"),
        ("unreachable", "no route"),
        ("aborted", "it closed the connection"),
        ("redirects", "too many redirects"),
    ):
        if sign in text:
            return said
    return type(error).__name__


def _refused(address: str, text: str) -> InvalidInput:
    match = _STATUS.search(text)
    status, body = (int(match.group(1)), match.group(2)) if match else (0, text)
    said = _SAID.search(body)
    reason = "".join(character for character in (said.group(1) if said else "") if character.isprintable())[:300]
    if status in (401, 403):
        return InvalidInput(
            f"{address} refuses the credentials (HTTP {status})",
            remedy="give --bearer-token-file FILE, or http://USER:PASSWORD@HOST",
        )
    if status in (400, 422) and reason:
        return InvalidInput(
            f"{address} refuses the query: {reason}", remedy="try a shorter --last or a longer --window"
        )
    if status in (404, 405):
        return _no_prometheus(address, f"there is no query API (HTTP {status})")
    return InvalidInput(
        f"{address} answers with HTTP {status}" + (f": {reason}" if reason else ""), remedy="look at that server's log"
    )


def _no_prometheus(address: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"{address} is not Prometheus: {why}",
        remedy="give the URL under which /api/v1/query lies, such as http://localhost:9090",
    )
