"""The controller's own metrics, and the pages /metrics, /healthz and /readyz."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from controller.decision import Decision
from models.errors import InvalidInput

_GAUGES: tuple[tuple[str, str, Callable[[Decision], float | None]], ...] = (
    ("needed_replicas", "Replicas that the planned load needs.", lambda each: each.needed),
    ("desired_replicas", "Replicas after every limit.", lambda each: each.desired),
    ("current_replicas", "What the lever says.", lambda each: each.current),
    ("ready_replicas", "Pods that serve.", lambda each: each.ready),
    ("arriving_requests_per_second", "Demand now.", lambda each: each.demand.arriving_per_s if each.demand else None),
    (
        "planned_requests_per_second",
        "Demand ahead.",
        lambda each: each.demand.planned_per_s if each.demand else None,
    ),
    ("profile_slowdown", "Factor on the profile's times.", lambda each: each.demand.slowdown if each.demand else None),
)
_OF_POLICY = ("namespace", "policy")


class Telemetry:
    """Counters by policy in a registry of their own, and gauges made of the last decisions when somebody asks."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self._decisions: dict[str, Decision] = {}
        self._writes = Counter(
            "replicast_writes", "Patches by what came of them.", (*_OF_POLICY, "result"), registry=self.registry
        )
        self._failed = Counter(
            "replicast_decisions_failed", "Decisions that failed, or that could not be told.", _OF_POLICY,
            registry=self.registry,
        )  # fmt: skip
        self._unkept = Counter(
            "replicast_decisions_not_kept", "Decisions that the decision log could not take.", registry=self.registry
        )
        self._tick = Histogram(
            "replicast_tick_seconds", "One look at all policies.", registry=self.registry,
            buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
        )  # fmt: skip
        self.leading = Gauge("replicast_leading", "Whether this process may write.", registry=self.registry)
        self.registry.register(self)

    def collect(self) -> Iterator[Any]:
        """The gauges of every policy: a thousand of them are not kept twice."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        decisions = [(each.policy.partition("/")[::2], each) for each in list(self._decisions.values())]
        for name, text, value in _GAUGES:
            family = GaugeMetricFamily(f"replicast_{name}", text, labels=_OF_POLICY)
            for key, each in decisions:
                family.add_metric(key, _known(value(each)))
            yield family
        conditions = GaugeMetricFamily(
            "replicast_policy_condition", "1 where a condition is True.", labels=(*_OF_POLICY, "type")
        )
        predicted = GaugeMetricFamily(
            "replicast_predicted_seconds", "Of an objective at the desired replicas.", labels=(*_OF_POLICY, "objective")
        )
        for key, each in decisions:
            for condition in each.conditions:
                conditions.add_metric((*key, condition.type), float(condition.status == "True"))
            for objective in each.predicted:
                predicted.add_metric((*key, objective.objective), _known(objective.value_s))
        yield from (conditions, predicted)

    def decided(self, decision: Decision) -> None:
        """Show a decision."""
        self._decisions[decision.policy] = decision

    def forget(self, policy: str) -> None:
        """It is not there any more."""
        self._decisions.pop(policy, None)
        namespace, _, name = policy.partition("/")
        for result in ("written", "refused", "failed"):
            with suppress(KeyError):  # there was none
                self._writes.remove(namespace, name, result)
        with suppress(KeyError):
            self._failed.remove(namespace, name)

    def failed(self, policy: str) -> None:
        """Count a decision that failed."""
        namespace, _, name = policy.partition("/")
        self._failed.labels(namespace, name).inc()

    def wrote(self, policy: str, result: str) -> None:
        """Count a patch: written, refused or failed."""
        namespace, _, name = policy.partition("/")
        self._writes.labels(namespace, name, result).inc()

    def not_kept(self) -> None:
        """Count a decision that could not be added to the log."""
        self._unkept.inc()

    def ticked(self, seconds: float) -> None:
        """Count a tick."""
        self._tick.observe(seconds)

    def text(self) -> bytes:
        """The page of /metrics."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self.registry))


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def serve(address: str, telemetry: Telemetry, *, ill: Callable[[], str], unready: Callable[[], str]) -> Any:
    """Answer on `HOST:PORT` in a thread; returns the server. Raises InvalidInput where that cannot be listened on.

    `ill` and `unready` say what is wrong, for /healthz and /readyz: nothing where all is well.
    """
    host, _, port = address.rpartition(":")

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, telemetry.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path in ("/healthz", "/readyz"):
                wrong = ill() if self.path == "/healthz" else unready()
                self._answer(503 if wrong else 200, f"{wrong or 'ok'}\n".encode(), "text/plain; charset=utf-8")
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
