"""Objects of the cluster, reduced to what decisions use: what a watch cache keeps of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from controller.kubernetes_api import MANAGER, Document
from controller.snapshot import Writer

GPU = "nvidia.com/gpu"
_FAILING = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "RunContainerError")
_RESTARTS = 3
"""Of a pod that is not ready: as often as that is no accident."""
_GITOPS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Anything with a `/scale`: Deployment, StatefulSet, LeaderWorkerSet."""

    uid: str
    replicas: int
    ready: int
    outdated: int
    selector: frozenset[tuple[str, str]]
    writer: Writer | None
    gitops: str
    grace_s: float
    resource_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """A pod by what it is good for."""

    labels: frozenset[tuple[str, str]]
    ready: bool
    unschedulable: bool
    failing: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Autoscaler:
    """An HPA or a ScaledObject."""

    uid: str
    target: tuple[str, str]
    """Kind and name."""
    min_replicas: int
    max_replicas: int
    desired: int | None
    writer: Writer | None
    owner: str
    """Name of the ScaledObject that owns an HPA; empty for none."""
    max_writer: Writer | None = None
    min_stated: bool = True
    max_stated: bool = True
    resource_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disruptions:
    """A PodDisruptionBudget."""

    selector: frozenset[tuple[str, str]]
    allowed: int


def workload(item: Document) -> Workload:
    """Of a Deployment, StatefulSet or LeaderWorkerSet."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    there = int(status.get("replicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    template = spec.get("template") or (spec.get("leaderWorkerTemplate") or {}).get("workerTemplate") or {}
    return Workload(
        uid=_metadata(item).get("uid", ""),
        replicas=int(1 if spec.get("replicas") is None else spec["replicas"]),
        ready=int(status.get("readyReplicas") or 0),
        outdated=max(0, there - updated),
        selector=_selector(item),
        writer=writer_of(item, "replicas"),
        gitops=_gitops(item),
        grace_s=float((template.get("spec") or {}).get("terminationGracePeriodSeconds", 30)),
        resource_version=str(_metadata(item).get("resourceVersion", "")),
    )


def pod(item: Document) -> Pod:
    """Of a Pod."""
    status = item.get("status") or {}
    conditions = {each.get("type"): each for each in status.get("conditions") or []}
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    scheduled = conditions.get("PodScheduled") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return Pod(
        labels=_pairs(_metadata(item).get("labels") or {}),
        ready=ready and not _metadata(item).get("deletionTimestamp"),
        unschedulable=scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable",
        failing=not ready and (status.get("phase") == "Failed" or any(map(_fails, containers))),
    )


def _fails(container: Mapping[str, Any]) -> bool:
    waiting = (container.get("state") or {}).get("waiting") or {}
    return waiting.get("reason") in _FAILING or int(container.get("restartCount") or 0) >= _RESTARTS


def horizontal_pod_autoscaler(item: Document) -> Autoscaler:
    """Of an autoscaling/v2 HPA."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    ref = spec.get("scaleTargetRef") or {}
    return Autoscaler(
        uid=_metadata(item).get("uid", ""),
        target=(str(ref.get("kind", "")), str(ref.get("name", ""))),
        min_replicas=int(1 if spec.get("minReplicas") is None else spec["minReplicas"]),
        max_replicas=int(spec.get("maxReplicas") or 1),
        desired=status.get("desiredReplicas"),
        writer=writer_of(item, "minReplicas"),
        owner=_keda_owner(item),
        max_writer=writer_of(item, "maxReplicas"),
        min_stated=spec.get("minReplicas") is not None,
        max_stated=spec.get("maxReplicas") is not None,
        resource_version=str(_metadata(item).get("resourceVersion", "")),
    )


def scaled_object(item: Document) -> Autoscaler:
    """Of a KEDA ScaledObject; its defaults are 0 and 100, and a Deployment."""
    spec = item.get("spec") or {}
    ref = spec.get("scaleTargetRef") or {}
    return Autoscaler(
        uid=_metadata(item).get("uid", ""),
        target=(str(ref.get("kind") or "Deployment"), str(ref.get("name", ""))),
        min_replicas=int(spec.get("minReplicaCount") or 0),
        max_replicas=int(100 if spec.get("maxReplicaCount") is None else spec["maxReplicaCount"]),
        desired=None,
        writer=writer_of(item, "minReplicaCount"),
        owner="",
        max_writer=writer_of(item, "maxReplicaCount"),
        min_stated=spec.get("minReplicaCount") is not None,
        max_stated=spec.get("maxReplicaCount") is not None,
        resource_version=str(_metadata(item).get("resourceVersion", "")),
    )


def disruptions(item: Document) -> Disruptions:
    """Of a PodDisruptionBudget."""
    return Disruptions(selector=_selector(item), allowed=int((item.get("status") or {}).get("disruptionsAllowed") or 0))


def free_gpus(item: Document) -> int | None:
    """Of a ResourceQuota; None where it does not limit GPUs, or has not been counted yet."""
    status = item.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    for name in (f"requests.{GPU}", GPU):
        if name in hard and name in used:
            return max(0, int(hard[name]) - int(used[name]))
    return None


def writer_of(item: Document, field: str) -> Writer | None:
    """Who wrote the present value of `spec.FIELD`, of those that managedFields names; None where it names nobody.

    Whoever changes a value takes the field from all its owners, by Update or by Apply (Kubernetes, "Server-Side
    Apply", field ownership): those who share it have all written the value that is there. So a field that we own has
    our value, and else any owner will do as a name: a writer through `/scale` wrote the replicas and nothing else, the
    others are named by their last change, of whatever field. An entry of `/scale` has no time, and once the replicas
    have been zero there is none (both as API servers of 1.28 to 1.36 keep them).
    """
    found = [
        each
        for each in _metadata(item).get("managedFields") or []
        if each.get("subresource") != "status" and f"f:{field}" in ((each.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    if not found:
        return None
    last = max(found, key=_closeness)
    manager = str(last.get("manager") or "unknown")
    return Writer(manager=manager, at_s=_seconds(str(last.get("time") or "")), ours=manager == MANAGER)


def _closeness(entry: Document) -> tuple[bool, bool, str, str]:
    """The more, the more likely an owner of a field is its writer; by name at last, so that it is always the same."""
    manager = str(entry.get("manager") or "")
    return manager == MANAGER, entry.get("subresource") == "scale", str(entry.get("time") or ""), manager


def _seconds(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def _metadata(item: Document) -> Document:
    return item.get("metadata") or {}


def _selector(item: Document) -> frozenset[tuple[str, str]]:
    """matchLabels; a LeaderWorkerSet's pods carry its name in a label."""
    selector = (item.get("spec") or {}).get("selector")
    if isinstance(selector, dict):
        return _pairs(selector.get("matchLabels") or {})
    return _pairs({"leaderworkerset.sigs.k8s.io/name": str(_metadata(item).get("name", ""))})


def _pairs(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return _shared(frozenset(labels.items()))


@lru_cache(maxsize=50_000)
def _shared(pairs: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """All pods of a revision have the same labels: they are kept once."""
    return pairs


def _gitops(item: Document) -> str:
    metadata = _metadata(item)
    marks: Iterable[str] = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    return next((_GITOPS[mark] for mark in marks if mark in _GITOPS), "")


def _keda_owner(item: Document) -> str:
    metadata = _metadata(item)
    owners = [
        each.get("name", "") for each in metadata.get("ownerReferences") or [] if each.get("kind") == "ScaledObject"
    ]
    return str(owners[0]) if owners else str((metadata.get("labels") or {}).get("scaledobject.keda.sh/name", ""))
