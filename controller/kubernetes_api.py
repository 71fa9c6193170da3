"""The Kubernetes API over the official client, as plain documents: the typed objects of 10,000 pods cost 755 MB.

Authentication, TLS and connections are the client's; what is read is JSON, page by page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.tls import Tls
from models.errors import InvalidInput

CONNECT_S, ANSWER_S = 5.0, 15.0
PAGE = 500
CONNECTIONS = 32
"""Each watch holds one."""
MANAGER = "replicast"
"""The field manager of all our writes."""
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_MOST_TOLD = 500

Document = dict[str, Any]


@dataclass
class ApiError(Exception):
    """What the API server refused, or that it did not answer (`status` 0)."""

    status: int
    reason: str
    verb: str
    path: str
    message: str

    def __str__(self) -> str:
        """For people: verb, path, and the server's own words."""
        if self.status == 0:
            return f"{self.verb} {self.path}: the API server cannot be reached ({self.reason})"
        return f"{self.verb} {self.path}: {self.status} {self.reason}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some objects of a list."""

    items: list[Document]
    resource_version: str


class Kubernetes:
    """One API server."""

    def __init__(self, client: Any) -> None:
        """`client` is a `kubernetes.client.ApiClient`."""
        self._client = client

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Kubernetes:
        """Named file, else from within the cluster, else the user's default. Raises InvalidInput without any."""
        try:
            from kubernetes import client, config
        except ImportError:
            raise InvalidInput(
                "the controller needs the package kubernetes, which is not installed",
                remedy="install the extra: pip install 'replicast[controller]'",
            ) from None
        settings = client.Configuration()
        settings.retries = False
        settings.connection_pool_maxsize = CONNECTIONS
        try:
            if kubeconfig is None and context is None:
                try:
                    config.load_incluster_config(client_configuration=settings)
                except config.ConfigException:
                    config.load_kube_config(client_configuration=settings)
            else:
                name = None if kubeconfig is None else str(kubeconfig)
                config.load_kube_config(config_file=name, context=context, client_configuration=settings)
        except (config.ConfigException, OSError) as error:
            where = "" if kubeconfig is None else f" in {kubeconfig}"
            raise InvalidInput(
                f"there is no usable Kubernetes configuration{where}: {str(error)[:_MOST_TOLD]}",
                remedy="give --kubeconfig FILE, or run in a cluster with a service account",
            ) from None
        except Exception as error:  # noqa: BLE001 -- whatever the client makes of a file that is no kubeconfig
            raise InvalidInput(
                f"{_named(kubeconfig)} is no kubeconfig: {_why(error)}",
                remedy="mend it (`kubectl config view` reads it too), or name another: --kubeconfig FILE",
            ) from None
        _require_certificates(settings, kubeconfig)
        return cls(client.ApiClient(settings))

    @property
    def client(self) -> Any:
        """The official client, for the parts of it that are used as they are."""
        return self._client

    def get(self, path: str, **query: Any) -> Document:
        """One object, or one page of a list."""
        return self._document("GET", path, query)

    def pages(self, path: str, **query: Any) -> Iterator[Page]:
        """A list, page by page."""
        follow = ""
        while True:
            more = {"limit": PAGE, **({"continue": follow} if follow else {}), **query}
            found = self._document("GET", path, more)
            metadata = found.get("metadata", {})
            yield Page(items=found.get("items") or [], resource_version=str(metadata.get("resourceVersion", "")))
            follow = metadata.get("continue") or ""
            if not follow:
                return

    def watch(
        self, path: str, resource_version: str, *, timeout_s: int, opened: Callable[[], None], **query: Any
    ) -> Iterator[tuple[str, Document]]:
        """Events from a version on, until the server ends the stream or says nothing for a while.

        `opened` is called when the server has agreed to it.
        """
        more = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": timeout_s,
            **query,
        }
        with _told("WATCH", path):
            answer = self._send("GET", path, more, read_s=timeout_s + 15.0)
            opened()
            try:
                for line in _lines(answer.response):
                    event = json.loads(line)
                    yield str(event.get("type")), event.get("object") or {}
            finally:
                answer.response.close()

    def patch(self, path: str, body: Any, *, kind: str = MERGE_PATCH, within_s: float | None = None) -> Document:
        """Change an object as our field manager, or give up after a time."""
        return self._write("PATCH", path, body, kind, within_s)

    def create(self, path: str, body: Document, *, within_s: float | None = None) -> Document:
        """Make an object as our field manager, or give up after a time."""
        return self._write("POST", path, body, "application/json", within_s)

    def _write(self, verb: str, path: str, body: Any, kind: str, within_s: float | None) -> Document:
        """Both ends give up: ours closes the connection, and the server ends what it has begun (`timeout`)."""
        query: dict[str, Any] = {"fieldManager": MANAGER}
        if within_s is None or within_s >= CONNECT_S + ANSWER_S:
            return self._document(verb, path, query, body, kind)
        if within_s <= 0.0:
            raise ApiError(status=0, reason="there was no time left for it", verb=verb, path=path, message="")
        query["timeout"] = f"{within_s * 1000.0:.0f}ms"
        connect_s = min(CONNECT_S, 0.25 * within_s)
        return self._document(verb, path, query, body, kind, connect_s=connect_s, read_s=within_s - connect_s)

    def _document(
        self, verb: str, path: str, query: Mapping[str, Any], body: Any = None, kind: str | None = None, **times: float
    ) -> Document:
        with _told(verb, path):
            answer = self._send(verb, path, query, body, kind, **times)
            found = json.loads(answer.response.data)
        if not isinstance(found, dict):
            raise ApiError(status=0, reason="its answer is no object", verb=verb, path=path, message="")
        return found

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, Any],
        body: Any = None,
        kind: str | None = None,
        connect_s: float | None = None,
        *,
        read_s: float = ANSWER_S,
    ) -> Any:
        headers = {"Accept": "application/json", **({"Content-Type": kind} if kind else {})}
        asked = self._client.param_serialize(
            method=verb,
            resource_path=path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*asked, _request_timeout=(connect_s or CONNECT_S, read_s))
        if answer.status >= 400:
            raise _refused(answer, verb, path)
        return answer


def _named(kubeconfig: Path | None) -> str:
    return str(kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")


def _why(error: Exception) -> str:
    """Without what is in the file: it holds secrets."""
    place = getattr(error, "problem_mark", None)
    if place is not None:
        return f"line {place.line + 1}: {getattr(error, 'problem', None) or 'not YAML'}"[:_MOST_TOLD]
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    said = {TypeError: "its fields are not those of one", KeyError: f"{error} is missing"}.get(type(error))
    return said or " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_TOLD]


def _require_certificates(settings: Any, kubeconfig: Path | None) -> None:
    """Else a file that cannot be read is told as an API server that cannot be reached."""
    authority, certificate, key = (
        None if not each else Path(each) for each in (settings.ssl_ca_cert, settings.cert_file, settings.key_file)
    )
    try:
        Tls(authority=authority, certificate=certificate, key=key).require_readable()
    except InvalidInput as error:
        raise InvalidInput(
            f"{_named(kubeconfig)} names certificates that cannot be used: {error}", remedy=error.remedy
        ) from None


def _refused(answer: Any, verb: str, path: str) -> ApiError:
    text = answer.response.data.decode("utf-8", errors="replace")
    try:
        told = json.loads(text)
        message, reason = str(told.get("message", "")), str(told.get("reason", ""))
    except (ValueError, AttributeError):
        message, reason = text, ""
    return ApiError(
        status=int(answer.status),
        reason=reason or str(answer.response.reason),
        verb=verb,
        path=path,
        message=message[:_MOST_TOLD],
    )


def _lines(response: Any) -> Iterator[bytes]:
    """Whole lines of a stream."""
    rest = b""
    for chunk in response.stream(amt=65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)


@contextmanager
def _told(verb: str, path: str) -> Iterator[None]:
    """What goes wrong on the way, as one kind of error."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise ApiError(
            status=int(error.status or 0), reason=str(error.reason)[:_MOST_TOLD], verb=verb, path=path, message=""
        ) from None
    except (HTTPError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:_MOST_TOLD]
        raise ApiError(status=0, reason=reason, verb=verb, path=path, message="") from None
