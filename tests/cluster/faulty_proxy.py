"""An HTTP proxy between the controller and a real API server, that answers as an overloaded or broken one does.

It asks the server with the administrator's certificate, and passes on what a client asks it, watches line by line.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3
from kubernetes import client

from controller.kubernetes_api import Kubernetes

GONE = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
)


@dataclass
class Fault:
    """What is done to requests whose method, path and query match."""

    matches: str
    status: int = 0
    """Answered in place of the server, unless 0."""
    before_s: float = 0.0
    """The server is asked so much later, and not at all where the client is gone by then."""
    after_s: float = 0.0
    """The server's answer comes so much later."""
    watch_error: str = ""
    """The only line of a watch."""
    times: int = 1_000_000


@dataclass
class FaultyProxy:
    """Its address, what it does wrong, and what was asked."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Whose clients were gone before the server was asked."""
    streams: set[Any] = field(default_factory=set)

    def api(self) -> Kubernetes:
        """The controller's way to the server."""
        settings = client.Configuration(host=self.url)
        settings.retries, settings.connection_pool_maxsize = False, 32
        return Kubernetes(client.ApiClient(settings))

    def cut(self) -> None:
        """Every watch that is open breaks in the middle of its stream."""
        for each in list(self.streams):
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)

    def count(self, pattern: str) -> int:
        """How often something was asked."""
        return sum(bool(re.search(pattern, each)) for each in self.asked)

    def fault(self, request: str) -> Fault | None:
        """The first that is meant, one time fewer."""
        for each in self.faults:
            if each.times > 0 and re.search(each.matches, request):
                each.times -= 1
                return each
        return None


@contextmanager
def faulty_proxy(administrator: client.ApiClient) -> Iterator[FaultyProxy]:
    """One that runs."""
    settings = administrator.configuration
    pool = urllib3.PoolManager(
        num_pools=2, maxsize=64, cert_file=settings.cert_file, key_file=settings.key_file,
        ca_certs=settings.ssl_ca_cert, retries=False,
    )  # fmt: skip
    proxy = FaultyProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        do_POST = do_PATCH = do_PUT = do_GET

        def _pass_on(self) -> None:
            request = f"{self.command} {self.path}"
            proxy.asked.append(request)
            fault = proxy.fault(request)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fault is not None and fault.status:
                self._say(fault.status, json.dumps({"reason": "Faulty", "message": "the proxy says so"}).encode())
                return
            if fault is not None and fault.before_s:
                time.sleep(fault.before_s)
                if self._is_gone():
                    proxy.dropped.append(request)
                    return
            if "watch=true" in self.path:
                self._stream("" if fault is None else fault.watch_error)
                return
            kept = {name: self.headers[name] for name in ("Accept", "Content-Type") if self.headers.get(name)}
            answer = pool.request(self.command, settings.host + self.path, body=body or None, headers=kept)
            time.sleep(0.0 if fault is None else fault.after_s)
            self._say(answer.status, answer.data)

        def _is_gone(self) -> bool:
            with suppress(BlockingIOError):  # it waits
                return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return False

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, only: str) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if only:
                self._chunk(only.encode() + b"\n")
                self._chunk(b"")
                return
            proxy.streams.add(self.connection)
            answer = pool.request("GET", settings.host + self.path, preload_content=False)
            try:
                while chunk := answer.read1():
                    self._chunk(chunk)
                self._chunk(b"")
            except OSError:
                pass
            finally:
                proxy.streams.discard(self.connection)
                answer.close()

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                """The client did not wait, or the stream was cut."""

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        proxy.cut()
        pool.clear()
