"""Prometheus over HTTP: queries at a time and over a range, and what goes wrong on the way in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from controller.tls import Tls
from models.errors import InvalidInput
from planner.metrics_server import Series

TIMEOUT_S = 30
"""Without a sign of life, a connection's or an answer's."""
ANSWER_S = 90.0
"""One answer from the question to its last byte, repetitions included."""
_RETRIES = 2
_STATUS = re.compile(r"HTTP Status Code (\d+) \((.*)\)", re.DOTALL)
_SAID = re.compile(r'"error": ?"((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One row of an answer to a query at a time."""

    labels: Mapping[str, str]
    time_s: float
    value: float


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings:
    """A server and how a loop asks it: sooner without an answer than late."""

    url: str
    bearer_token_file: Path | None = None
    tls: Tls = Tls()
    timeout_s: int = 5
    answer_s: float = 10.0

    def connect(self) -> Prometheus:
        """Raises InvalidInput where a file or the URL means nothing; nothing is asked yet."""
        return Prometheus(
            self.url,
            bearer_token_file=self.bearer_token_file,
            tls=self.tls,
            timeout_s=self.timeout_s,
            answer_s=self.answer_s,
        )


class Prometheus:
    """A server that answers PromQL: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    def __init__(
        self,
        url: str,
        *,
        bearer_token_file: Path | None = None,
        tls: Tls = Tls(),
        timeout_s: int = TIMEOUT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`url` may hold `user:password@`, which no message or file repeats.

        The token is read again for every question, as it may be replaced at any time.
        """
        try:
            from prometheus_api_client import PrometheusConnect
            from urllib3.util.retry import Retry

            from controller.bearer_token import BearerToken
            from controller.bounded_answer import bounded_session
        except ImportError as missing:
            raise InvalidInput(
                f"Prometheus needs the package {missing.name or 'prometheus_api_client'}, which is not installed",
                remedy="install it beside Replicast: pip install 'replicast[prometheus]' in its environment",
            ) from None
        self._address, password = _without_credentials(url)
        token = None if bearer_token_file is None else BearerToken(bearer_token_file)
        # A query that took too long once is not asked again: `read=False` tells of it as it is. All are only read.
        retry = Retry(
            total=_RETRIES,
            read=False,
            backoff_factor=0.2,
            status_forcelist=[502, 503, 504],
            allowed_methods=None,
            raise_on_status=False,
        )
        session = bounded_session(self._address, retry=retry)
        tls.require_readable()
        session.verify, session.cert = tls.verified_by, tls.proof
        self._client: Any = PrometheusConnect(
            url=self._address, auth=password or token, timeout=timeout_s, session=session
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

    def instant(self, query: str, *, at_s: float | None = None) -> list[Sample]:
        """The query's values at a time, by default the server's own present. Rows that hold no number are left out."""
        from controller.bounded_answer import within

        parameters = {} if at_s is None else {"time": f"{at_s:.3f}"}
        with _told(self._address):
            answer = within(self._answer_s, lambda: self._client.custom_query(query, params=parameters))
            return [_sample(entry) for entry in answer if "histogram" not in entry]


def _sample(entry: Any) -> Sample:
    """One row. Raises where it is not of Prometheus's shape; a value may be NaN, a time may not."""
    time, value = entry["value"]
    if not math.isfinite(time):
        raise ValueError("a time that is no time")
    return Sample(
        labels={str(name): str(text) for name, text in entry["metric"].items()}, time_s=time, value=float(value)
    )


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
    except exceptions.SSLError as error:
        raise _not_proven(address, str(error)) from None
    except (exceptions.Timeout, TimeoutError):
        raise InvalidInput(
            f"{address} did not answer in time", remedy="try a shorter --last or a longer --window"
        ) from None
    except exceptions.RequestException as error:
        raise InvalidInput(
            f"{address} cannot be reached ({_reason(error)})",
            remedy="is it running, and reachable from here? kubectl port-forward makes a service local",
        ) from None


def _not_proven(address: str, text: str) -> InvalidInput:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return InvalidInput(
            f"{address} has a certificate that is not trusted",
            remedy="let REQUESTS_CA_BUNDLE name the file of the authority that signed it",
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return InvalidInput(f"{address} does not speak TLS", remedy="is it http:// there?")
    return InvalidInput(
        f"{address} does not accept our certificate, or asks for one",
        remedy="give the certificate and the key that its authority signed",
    )


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, said in (
        ("refused", "connection refused"),
        ("resolve", "the name is not known"),
        ("Name or service", "the name is not known"),
        ("unreachable", "no route"),
        ("aborted", "it closed the connection"),
        ("redirects", "too many redirects"),
        ("reset by peer", "it closed the connection"),
        ("Broken pipe", "it closed the connection"),
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
