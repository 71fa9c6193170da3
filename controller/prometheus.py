"""Prometheus over HTTP: queries at a time and over a range."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from controller.prometheus_errors import told
from controller.tls import SYSTEM, Tls
from models.errors import InvalidInput
from planner.metrics_server import Series

TIMEOUT_S = 30
"""Without a sign of life, a connection's or an answer's."""
ANSWER_S = 90.0
"""One answer from the question to its last byte, repetitions included."""
_RETRIES = 2


class Sample(NamedTuple):
    """One row of an answer to a query at a time."""

    labels: Mapping[str, str]
    time_s: float
    value: float


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings:
    """A server and how a loop asks it: sooner without an answer than late."""

    url: str = field(repr=False)
    """May hold a password."""
    bearer_token_file: Path | None = None
    tls: Tls = SYSTEM
    timeout_s: int = 10
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
        tls: Tls = SYSTEM,
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

        with told(self._address):
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
        with told(self._address):
            answer = within(self._answer_s, lambda: self._client.custom_query(query, params=parameters))
            return _samples([each for each in answer if not (isinstance(each, dict) and "histogram" in each)])


def _samples(entries: Sequence[Any]) -> list[Sample]:
    """The rows. One that is odd among others is not a number; raises where none is of Prometheus's shape."""
    found = [_sample(entry) for entry in entries]
    if found and not any(found):
        raise ValueError("no row is one")
    kept = [each or _no_number(entry) for each, entry in zip(found, entries, strict=True)]
    return [each for each in kept if each is not None]


def _sample(entry: Any) -> Sample | None:
    """One row, or None where it is odd; a value may be NaN, a time may not."""
    try:
        time, value = entry["value"]
        if not math.isfinite(time):
            return None
        labels = {str(name): str(text) for name, text in entry["metric"].items()}
        return Sample(labels=labels, time_s=float(time), value=float(value))
    except _ODD:
        return None


def _no_number(entry: Any) -> Sample | None:
    """An odd row as one that is not a number, where it says whose it is: left out it would say that there is none."""
    try:
        labels = {str(name): str(text) for name, text in entry["metric"].items()}
    except _ODD:
        return None
    return Sample(labels=labels, time_s=0.0, value=math.nan)


_ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError)


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
