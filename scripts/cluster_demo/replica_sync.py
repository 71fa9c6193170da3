"""What stands between Kubernetes and the simulated engines: a pod that is ready serves, one that is not does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client

from scripts.cluster_demo.engine import Engine
from scripts.cluster_demo.served_models import NAMESPACE

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """Of one model."""

    asked: int = 0
    ready: int = 0


@dataclass
class ReplicaSync:
    """A loop of its own; `seen` is what it saw last, by name of the model."""

    api: client.ApiClient
    engines: Sequence[Engine]
    targets: Path
    """Where Prometheus reads whom to scrape."""
    seen: dict[str, Replicas] = field(default_factory=dict)
    trouble: str = ""
    """Why it did not see anything last time."""
    _serving: dict[str, list[str]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ReplicaSync:
        self.targets.write_text("[]", encoding="utf-8")
        self._thread = threading.Thread(target=self._go_on, name="replicas", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(_EVERY_S):
            try:
                self._look()
                self.trouble = ""
            except (OSError, client.ApiException) as error:
                self.trouble = str(error)

    def _look(self) -> None:
        pods: Any = client.CoreV1Api(self.api).list_namespaced_pod(NAMESPACE, _request_timeout=5)
        deployments: Any = client.AppsV1Api(self.api).list_namespaced_deployment(NAMESPACE, _request_timeout=5)
        asked = {each.metadata.name: each.spec.replicas for each in deployments.items}
        changed = False
        for engine in self.engines:
            name = engine.model.name
            ready = sorted(
                pod.metadata.name for pod in pods.items if pod.metadata.labels.get("app") == name and _serves(pod)
            )
            if self._serving.get(name) != ready:
                engine.keep(ready)
                self._serving[name], changed = ready, True
            self.seen[name] = Replicas(asked=asked.get(name, 0), ready=len(ready))
        if changed:
            written = self.targets.with_suffix(".new")
            written.write_text(
                json.dumps([each for engine in self.engines for each in engine.targets()]), encoding="utf-8"
            )
            written.replace(self.targets)


def _serves(pod: Any) -> bool:
    conditions = pod.status.conditions or []
    ready = any(each.type == "Ready" and each.status == "True" for each in conditions)
    return ready and pod.metadata.deletion_timestamp is None
