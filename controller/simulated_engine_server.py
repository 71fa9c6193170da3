"""A simulated service over HTTP: its replicas' /metrics pages, and a load and replicas that anyone may change.

| request | answer |
| --- | --- |
| `GET /replicas/NAME/metrics` | what that replica shows to Prometheus |
| `GET /metrics` | the same, where there is one replica |
| `GET /replicas/NAME/health`, `GET /health` | whether it is there |
| `GET /targets` | the replicas as Prometheus's `file_sd` and `http_sd` read them |
| `GET /status` | where the simulation stands |
| `PUT /load` `{"qps": 30}` | from now on so many requests a second |
| `PUT /replicas` `{"count": 3}` or `{"names": ["chat-0"]}` | from now on these; new ones start empty |

For trying things out: it knows no users, so it listens on this machine unless told otherwise.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

from pydantic import Field, ValidationError

from models.errors import InvalidInput
from planner.file_model import FileModel, first_problem
from planner.files import parse_document
from planner.simulated_service.exposition_text import CONTENT_TYPE
from planner.simulated_service.service import MAX_REPLICAS, SimulatedService

_MOST_BYTES = 256 * 1024
_EVERY_S = 0.05
_AT_ONCE_S = 5.0
_AT_ONCE_CHOICES = 20_000
"""The most that is simulated at a time, between the turns of those who ask."""
_SILENT_S = 30
"""A connection that says nothing for so long is closed."""

Answer = tuple[int, str, str]
"""Status, type and text."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?$")]


class LoadChange(FileModel):
    """The body of `PUT /load`."""

    qps: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class ReplicasChange(FileModel):
    """The body of `PUT /replicas`."""

    count: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] | None = None
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_REPLICAS)] | None = None

    def wanted(self) -> list[str]:
        """Names of the replicas. Raises InvalidInput unless exactly one way is used."""
        if (self.count is None) == (self.names is None):
            raise InvalidInput("replicas are given by count or by names", remedy='such as {"count": 3}')
        return list(self.names) if self.names is not None else [str(index) for index in range(self.count or 0)]


class SimulatedEngineServer:
    """Serves while it is open; virtual time runs `speed` times as fast as the clock."""

    def __init__(
        self,
        service: SimulatedService,
        address: tuple[str, int],
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises InvalidInput where the address cannot be had; port 0 is any free one."""
        self._service, self._speed, self._clock = service, speed, clock
        self._began = clock()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.failed: BaseException | None = None
        try:
            self._http = ThreadingHTTPServer(address, _handler(self))
        except OSError as error:
            raise InvalidInput(
                f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
                remedy="give another address, or port 0 for any free one",
            ) from None
        self._threads = [
            threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True),
            threading.Thread(target=self._go_on, daemon=True),
        ]

    @property
    def authority(self) -> str:
        """Host and port, as in a URL."""
        host, port = self._http.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> SimulatedEngineServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Until the simulation fails, which it should not: then that error is raised."""
        while not self._over.wait(0.2):
            """Ctrl-C is seen between two looks."""
        if self.failed is not None:
            raise self.failed

    def change(self, path: str, body: str) -> Answer:
        """What `PUT` does. Raises InvalidInput for a body that means nothing."""
        with self._lock:
            return self._change(path, body)

    def show(self, path: str, authority: str) -> Answer:
        """What `GET` shows; `authority` is where the client reaches this server."""
        with self._lock:
            return self._show(path, authority)

    def _change(self, path: str, body: str) -> Answer:
        if path == "/load":
            self._service.load(_read(path, body, LoadChange).qps)
        elif path == "/replicas":
            self._service.keep(_read(path, body, ReplicasChange).wanted())
        else:
            return _none(path)
        return _json(self._status())

    def _show(self, path: str, authority: str) -> Answer:
        names = list(self._service.fleet.replicas)
        if path == "/status":
            return _json(self._status())
        if path == "/targets":
            return _json([_target(authority, name) for name in names])
        if path == "/health":
            return 200, "text/plain", "ok\n"
        if path == "/metrics":
            if len(names) != 1:
                said = f"there are {len(names)} replicas: ask for /replicas/NAME/metrics; /targets names them\n"
                return 404, "text/plain", said
            path = f"/replicas/{names[0]}/metrics"
        asked = re.fullmatch(r"/replicas/([^/]+)/(metrics|health)", path)
        page = self._service.page(asked[1]) if asked else None
        if asked is None or page is None:
            return _none(path)
        return (200, CONTENT_TYPE, page) if asked[2] == "metrics" else (200, "text/plain", "ok\n")

    def _status(self) -> dict[str, Any]:
        behind_s = max(0.0, self._due_s() - self._service.fleet.now_s)
        return {**self._service.state(), "speed": self._speed, "behind_s": round(behind_s, 3)}

    def _due_s(self) -> float:
        return (self._clock() - self._began) * self._speed

    def _go_on(self) -> None:
        """Keep the simulation at the time that it should have."""
        try:
            while not self._over.is_set():
                with self._lock:
                    fleet, due_s = self._service.fleet, self._due_s()
                    reach_s = fleet.now_s + min(_AT_ONCE_S, fleet.time_of(_AT_ONCE_CHOICES))
                    self._service.advance(max(fleet.now_s, min(due_s, reach_s)))
                # Where it lags behind it does not rest, but lets those who ask have their turn.
                self._over.wait(_EVERY_S if due_s <= reach_s else 0.001)
        except BaseException as error:  # noqa: BLE001 -- raised again by `wait`, where it is told
            self.failed = error
            self._over.set()


def _read(path: str, body: str, model: type[FileModel]) -> Any:
    document = parse_document(body, name=path, what="the body of")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, model, body, f"the body of {path}") from None


def _target(authority: str, name: str) -> dict[str, Any]:
    return {"targets": [authority], "labels": {"__metrics_path__": f"/replicas/{name}/metrics", "pod": name}}


def _json(answer: object, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(answer, indent=1) + "\n"


def _none(path: str) -> Answer:
    return _json({"error": f"there is no {path[:200]}"}, 404)


def _handler(server: SimulatedEngineServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SILENT_S

        def do_GET(self) -> None:
            path, authority = self.path.partition("?")[0], self.headers.get("Host") or server.authority
            self._send(*server.show(path, authority))

        def do_PUT(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= _MOST_BYTES):
                self.close_connection = True
                self._send(*_json({"error": "give a body of at most 256 KiB, and its Content-Length"}, 413))
                return
            body = self.rfile.read(int(length)).decode("utf-8", "replace")
            try:
                self._send(*server.change(self.path, body))
            except InvalidInput as wrong:
                self._send(*_json({"error": str(wrong), "remedy": wrong.remedy}, 400))

        def _send(self, status: int, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Every scrape would be a line."""

    return Handler
