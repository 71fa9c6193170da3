"""Simulated engines that a real Prometheus scrapes, which finds them as it finds pods."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

from controller.simulated_engine_server import SimulatedEngineServer
from planner.simulated_service.service import SimulatedService
from tests.cluster.prometheus import running_prometheus, value_of

_LOOK_EVERY_S = 0.2


class ObservedEngines:
    """Services by a name of the test's own, and the Prometheus that scrapes their replicas."""

    def __init__(self, prometheus: str, targets: Path, servers: Mapping[str, SimulatedEngineServer]) -> None:
        self.prometheus = prometheus
        self._targets, self._servers = targets, servers

    def load(self, service: str, rate_per_s: float) -> None:
        """From now on so many requests arrive per simulated second."""
        self._put(service, "/load", {"qps": rate_per_s})

    def replicas(self, service: str, names: list[str]) -> None:
        """From now on these; Prometheus hears of them."""
        self._put(service, "/replicas", {"names": names})
        found = [target for server in self._servers.values() for target in _targets(server)]
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(found), encoding="utf-8")
        written.replace(self._targets)

    @contextmanager
    def following(self, service: str, pods: Callable[[], list[str]]) -> Iterator[None]:
        """The replicas are the pods that `pods` names, each from when it is named."""
        over = Event()

        def follow() -> None:
            known = None
            while not over.wait(_LOOK_EVERY_S):
                if (names := sorted(pods())) != known:
                    self.replicas(service, names)
                    known = names

        thread = Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def value(self, query: str) -> float:
        """An instant query's single value; 0 where it has none."""
        return value_of(self.prometheus, query) or 0.0

    def _put(self, service: str, path: str, body: object) -> None:
        url = f"http://{self._servers[service].authority}{path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            """Else HTTPError tells what was refused."""


def _targets(server: SimulatedEngineServer) -> list[object]:
    with urllib.request.urlopen(f"http://{server.authority}/targets", timeout=10) as answer:
        return list(json.load(answer))


@contextmanager
def observed_engines(
    folder: Path, services: Mapping[str, SimulatedService], *, speed: float
) -> Iterator[ObservedEngines]:
    """Serve these and let a Prometheus scrape them each second."""
    targets = folder / "targets.json"
    jobs = [{"job_name": "engines", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}]
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(SimulatedEngineServer(service, ("127.0.0.1", 0), speed=speed))
            for name, service in services.items()
        }
        prometheus = stack.enter_context(
            running_prometheus(folder, {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})
        )
        yield ObservedEngines(prometheus, targets, servers)
