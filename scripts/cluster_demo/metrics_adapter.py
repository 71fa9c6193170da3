"""The metrics adapter that the sample's HPA takes its own metric from: `custom.metrics.k8s.io`, answered by Prometheus.

The API server reaches it as it reaches any: an APIService, whose Service is the name of this machine.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from scripts.cluster_demo.measured import vector
from scripts.cluster_demo.served_models import MODELS, NAMESPACE
from tests.cluster.manifests import Manifest

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta2"
_ASKED = re.compile(rf"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/pods/\*/([a-z_]+)")
_METRICS = {model.pod_metric for model in MODELS if model.pod_metric is not None}


@contextmanager
def running_adapter(prometheus: str, pki: Path) -> Iterator[int]:
    """Answer HTTPS on a port, with a certificate of the cluster's own authority; the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(prometheus))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def registration(port: int) -> Iterator[Manifest]:
    """What tells the API server of it."""
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "metrics-adapter", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    yield {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"name": "metrics-adapter", "namespace": NAMESPACE, "port": port},
            "insecureSkipTLSVerify": True,  # the certificate is not of that name; it is this machine's own socket
        },
    }  # fmt: skip


def _document(path: str, prometheus: str) -> dict[str, Any] | None:
    if path == f"/apis/{GROUP}/{VERSION}":
        resources = [
            {
                "name": f"pods/{name}",
                "singularName": "",
                "namespaced": True,
                "kind": "MetricValueList",
                "verbs": ["get"],
            }
            for name in sorted(_METRICS)
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": resources,
        }
    asked = _ASKED.fullmatch(path)
    if asked is None or asked[1] not in _METRICS:
        return None
    values = vector(prometheus, f"sum by (pod) ({asked[1]})", "pod")
    items = [_value(pod, asked[1], value) for pod, value in values.items()]
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _value(pod: str, metric: str, value: float) -> dict[str, Any]:
    return {
        "describedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": pod, "apiVersion": "v1"},
        "metric": {"name": metric},
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "value": f"{round(1000.0 * value)}m",
    }


def _handler(prometheus: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                found = _document(unquote(self.path.partition("?")[0]), prometheus)
            except OSError:
                self._send(503, {"error": "Prometheus does not answer"})
                return
            self._send(404 if found is None else 200, found or {"error": f"there is no {self.path}"})

        def _send(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The HPA asks every other second."""

    return Handler
