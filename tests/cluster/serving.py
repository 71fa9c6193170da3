"""A model served in a test's namespace, its policy, and a controller beside it whose view of the load a test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from controller.caches import Caches
from controller.controller import Asked, Controller, Ticked
from controller.decision import Decision
from controller.kubernetes_api import Kubernetes
from controller.leader import Alone
from controller.snapshot import Evidence, Observation
from controller.snapshots import Key
from controller.telemetry import Telemetry
from planner.profile import load_profile
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import deployment
from tests.cluster.published_crds import apply_definitions
from tests.cluster.waiting import eventually
from tests.controller.world import PROFILE, readings

CRDS = Path(__file__).resolve().parents[2] / "deploy" / "crds"


def apply_ours(control_plane: ControlPlane) -> None:
    """Our custom resources and those of others, known to the API server."""
    apply_definitions(control_plane)
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))


def policy(name: str = "chat", **spec: Any) -> dict[str, Any]:
    """A CapacityPolicy in Enforce mode that may scale down at once; `spec` overrides its fields."""
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "CapacityPolicy",
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
            "profileRef": {"name": PROFILE},
            "metrics": {"matchLabels": {"namespace": "serving", "model_name": name}},
            "objectives": ["ttft:p99<=500ms", "itl:p95<=60ms"],
            "bounds": {"min": 1, "max": 20},
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [_quick()]}},
            "mode": "Enforce",
            **spec,
        },
    }


def _quick() -> dict[str, Any]:
    return {"type": "Pods", "value": 1, "periodSeconds": 1}


def engine_profile() -> dict[str, Any]:
    """The profile that policies name, without its measurements."""
    found = load_profile(PROFILE).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"apiVersion": "replicast.dev/v1alpha1", "kind": "EngineProfile", **found, "metadata": {"name": PROFILE}}


@dataclass
class Serving:
    """One namespace, and what is seen of its load."""

    control_plane: ControlPlane
    namespace: str
    controller: Controller
    rate_per_s: float = 20.0
    observed: dict[str, Observation] = field(default_factory=dict)
    """Instead of healthy readings, by name of the policy."""
    now_s: float = 1_800_000_000.0

    def observe(self, asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
        """Healthy readings of the rate, or what the test has put there."""
        healthy = Observation(evidence=Evidence.FRESH, readings=readings(self.now_s, self.rate_per_s, 1))
        return {key: self.observed.get(key[1], healthy) for key in asked}

    def tick(self, seconds: float = 15.0) -> Ticked:
        """So much later."""
        self.now_s += seconds
        return self.controller.tick()

    def next_leader(self) -> None:
        """Another process begins, with nothing but what the API server has."""
        old = self.controller
        self.controller = Controller(
            api=old.api, caches=old.caches, observe=self.observe, leader=Alone(), telemetry=Telemetry(), clock=old.clock
        )

    def decision(self, ticked: Ticked, name: str = "chat") -> Decision:
        """Of one policy."""
        return ticked.decisions[self.namespace, name]

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """In this namespace."""
        return self.control_plane.kubectl("-n", self.namespace, *arguments, text=text)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make or change objects, and wait until the controller has seen their policies."""
        self.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str = "chat") -> dict[str, Any]:
        """An object as it is."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def get_with_fields(self, kind: str, name: str = "chat") -> dict[str, Any]:
        """With its managedFields, which kubectl leaves out."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json", "--show-managed-fields"))
        return found

    def replicas(self) -> int:
        """Asked for in the Deployment."""
        return int(self.get("deployment")["spec"]["replicas"])

    def sees(self, holds: Any) -> None:
        """Wait until the controller's own view holds."""
        eventually(lambda: self.controller.caches, holds)


@contextmanager
def serving(
    control_plane: ControlPlane, namespace: str, *, api: Kubernetes | None = None, late: int = 0, **settings: Any
) -> Iterator[Serving]:
    """A controller on the namespace; `late` kinds of objects it cannot list."""
    api = api or Kubernetes.connect(control_plane.kubeconfig)
    caches = Caches(api, namespace)
    found = Serving(
        control_plane=control_plane,
        namespace=namespace,
        controller=Controller(
            api=api, caches=caches, observe=lambda _: {}, leader=Alone(), telemetry=Telemetry(), **settings
        ),
    )
    found.controller = replace(found.controller, observe=found.observe, clock=lambda: found.now_s)
    assert len(caches.start(3.0 if late else 20.0)) == late
    try:
        yield found
    finally:
        caches.stop()


def model(namespace: str, replicas: int = 1) -> dict[str, Any]:
    """The Deployment that is scaled; its pods are ready at once."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("chat", pool=namespace, replicas=replicas)}
