"""The controller's own metrics, and the pages /metrics, /healthz and /readyz."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from controller.decision import Decision
from models.errors import InvalidInput


class Telemetry:
    """Counters and gauges by policy, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        of_policy = ("namespace", "policy")

        def gauge(name: str, text: str, labels: tuple[str, ...] = of_policy) -> Any:
            return Gauge(f"replicast_{name}", text, labels, registry=self.registry)

        self._needed = gauge("needed_replicas", "Replicas that the planned load needs.")
        self._desired = gauge("desired_replicas", "Replicas after every limit.")
        self._current = gauge("current_replicas", "What the lever says.")
        self._ready = gauge("ready_replicas", "Pods that serve.")
        self._arriving = gauge("arriving_requests_per_second", "Demand now.")
        self._planned = gauge("planned_requests_per_second", "Demand that is planned for.")
        self._slowdown = gauge("profile_slowdown", "Factor on the profile's times.")
        self._condition = gauge("policy_condition", "1 where a condition is True.", (*of_policy, "type"))
        self._predicted = gauge(
            "predicted_seconds", "Of an objective at the desired replicas.", (*of_policy, "objective")
        )
        self._writes = Counter(
            "replicast_writes", "Patches by what came of them.", (*of_policy, "result"), registry=self.registry
        )
        self._tick = Histogram(
            "replicast_tick_seconds", "One look at all policies.", registry=self.registry,
            buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
        )  # fmt: skip
        self.leading = gauge("leading", "Whether this process may write.", ())
        self._known: set[tuple[str, str]] = set()

    def decided(self, decision: Decision) -> None:
        """Show a decision."""
        namespace, _, name = decision.policy.partition("/")
        key = (namespace, name)
        self._known.add(key)
        for metric, value in (
            (self._needed, decision.needed),
            (self._desired, decision.desired),
            (self._current, decision.current),
            (self._ready, decision.ready),
            (self._arriving, decision.demand and decision.demand.arriving_per_s),
            (self._planned, decision.demand and decision.demand.planned_per_s),
            (self._slowdown, decision.demand and decision.demand.slowdown),
        ):
            metric.labels(*key).set(float("nan") if value is None else value)
        for condition in decision.conditions:
            self._condition.labels(*key, condition.type).set(condition.status == "True")
        for each in decision.predicted:
            self._predicted.labels(*key, each.objective).set(float("nan") if each.value_s is None else each.value_s)

    def wrote(self, policy: str, result: str) -> None:
        """Count a patch: written, refused or failed."""
        namespace, _, name = policy.partition("/")
        self._writes.labels(namespace, name, result).inc()

    def ticked(self, seconds: float) -> None:
        """Count a tick."""
        self._tick.observe(seconds)

    def text(self) -> bytes:
        """The page of /metrics."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self.registry))


def serve(address: str, telemetry: Telemetry, *, healthy: Callable[[], bool], ready: Callable[[], bool]) -> Any:
    """Answer on `HOST:PORT` in a thread; returns the server. Raises InvalidInput where that cannot be listened on."""
    host, _, port = address.rpartition(":")

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, telemetry.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path in ("/healthz", "/readyz"):
                good = healthy() if self.path == "/healthz" else ready()
                self._answer(200 if good else 503, b"ok\n" if good else b"not yet\n", "text/plain")
            else:
                self._answer(404, b"/metrics, /healthz and /readyz are here\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: probes come every few seconds."""

    try:
        server = ThreadingHTTPServer((host.strip("[]") or "0.0.0.0", int(port)), Pages)  # noqa: S104 -- a pod's own page
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"--listen {address}: {getattr(error, 'strerror', None) or error}", remedy="give HOST:PORT, such as :8080"
        ) from None
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server
