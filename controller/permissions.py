"""What the controller may do in a cluster, and what for: all of it. `deploy/rbac.yaml` is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verb = Literal["get", "list", "watch", "create", "patch", "update"]
LEASE = "replicast-controller"
"""The name of the lease that the leader holds, in the controller's own namespace."""
_READ: tuple[Verb, ...] = ("list", "watch")
"""Watch caches never get a single object."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Verbs on some resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[Verb, ...]
    why: str
    names: tuple[str, ...] = ()
    """Only objects with these names; empty for all."""


EVERYWHERE: tuple[Permission, ...] = (
    Permission(
        group="replicast.dev", resources=("capacitypolicies", "engineprofiles"), verbs=_READ,
        why="what is asked, and how fast engines are",
    ),
    Permission(
        group="replicast.dev", resources=("capacitypolicies/status",), verbs=("patch",), why="what was decided",
    ),
    Permission(
        group="apps", resources=("deployments", "statefulsets"), verbs=_READ, why="targets: replicas, rollouts, writers"
    ),
    Permission(
        group="apps", resources=("deployments/scale", "statefulsets/scale"), verbs=("patch",),
        why="replicas of a target without a scaler; nothing else of it can be changed",
    ),
    Permission(
        group="leaderworkerset.x-k8s.io", resources=("leaderworkersets",), verbs=_READ,
        why="targets whose replicas are groups of pods",
    ),
    Permission(
        group="leaderworkerset.x-k8s.io", resources=("leaderworkersets/scale",), verbs=("patch",),
        why="replicas of such a target",
    ),
    Permission(
        group="autoscaling", resources=("horizontalpodautoscalers",), verbs=(*_READ, "patch"),
        why="minReplicas and maxReplicas of a target's HPA",
    ),
    Permission(
        group="keda.sh", resources=("scaledobjects",), verbs=(*_READ, "patch"),
        why="minReplicaCount and maxReplicaCount where KEDA owns the HPA",
    ),
    Permission(
        group="", resources=("pods",), verbs=_READ, why="which are ready, starting, without a place, or failing"
    ),
    Permission(
        group="", resources=("resourcequotas",), verbs=_READ, why="GPUs that a namespace has left",
    ),
    Permission(
        group="policy", resources=("poddisruptionbudgets",), verbs=_READ, why="pods that may be taken away now",
    ),
    Permission(
        group="", resources=("events",), verbs=("create", "patch"),
        why="what changed, told on the policy; what comes again is counted on the event that is there",
    ),
)  # fmt: skip
"""In every namespace, by a ClusterRole; or in one, by a Role (`deploy/namespaced`). Names of targets are users' own."""

OWN_NAMESPACE: tuple[Permission, ...] = (
    Permission(
        group="coordination.k8s.io", resources=("leases",), verbs=("create",), why="the first leader makes the lease",
    ),
    Permission(
        group="coordination.k8s.io", resources=("leases",), verbs=("get", "update"), names=(LEASE,),
        why="who leads, so that one writes",
    ),
)  # fmt: skip
"""In the namespace that the controller runs in, by a Role."""
