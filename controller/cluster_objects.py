"""Objects of the cluster, reduced to what decisions use: what a watch cache keeps of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from controller.kubernetes_api import MANAGER, Document
from controller.selector import Labels, Selector, selector_of
from controller.snapshot import Writer

GPU = "nvidia.com/gpu"
SET_NAME = "leaderworkerset.sigs.k8s.io/name"
_FAILING = {
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName",
    "ImageInspectError", "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
    "PostStartHookError",
}  # fmt: skip
"""Why a container waits, in the kubelet's words, where waiting alone mends nothing."""
_OVER = ("Succeeded", "Failed")
_RESTARTS, _LASTED_S = 3, 600.0
"""Of a container that is not ready: as often as that is no accident, unless it ran for so long before it ended last.

After ten minutes of running the kubelet forgets its back-off (Kubernetes, "Pod lifecycle", container restart policy).
"""
_PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-scale-in", "autoscaling.keda.sh/paused-scale-out")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
"""Go's strconv.ParseBool; what it does not know counts as yes."""
_MOST_SAID = 100
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
    """That a rollout under way has still to replace."""
    behind: bool
    """Whether its status is of an older spec: of a rollout nothing is known then."""
    selector: Selector
    labels: Labels
    """Of its pods, by its template."""
    group: int
    """Pods of one replica."""
    gpus: int
    """Of one replica, by its templates; 0 where they name none."""
    writer: Writer | None
    gitops: str
    grace_s: float
    resource_version: str = ""
    being_deleted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """A pod by what it is good for."""

    labels: Labels
    ready: bool
    unschedulable: bool
    failing: bool
    there: bool = True
    """Whether it has a place and is not over: one on its way out is there, and reports until it has gone."""


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
    idle: int | None = None
    """KEDA's idleReplicaCount."""
    paused: str = ""
    """The annotation by which KEDA is told to leave a target alone, wholly or in one direction; empty for none."""
    max_writer: Writer | None = None
    min_stated: bool = True
    max_stated: bool = True
    resource_version: str = ""
    being_deleted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Disruptions:
    """A PodDisruptionBudget."""

    selector: Selector | None
    """None means no pod."""
    allowed: int


def workload(item: Document) -> Workload:
    """Of a Deployment, StatefulSet or LeaderWorkerSet."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    leader, workers, group = _templates(spec)
    selector = _selector(item)
    graces = [(each.get("spec") or {}).get("terminationGracePeriodSeconds", 30) for each in (leader, workers)]
    return Workload(
        uid=_metadata(item).get("uid", ""),
        replicas=int(1 if spec.get("replicas") is None else spec["replicas"]),
        ready=int(status.get("readyReplicas") or 0),
        outdated=_outdated(spec, status),
        behind=int(status.get("observedGeneration") or _generation(item)) < _generation(item),
        selector=selector,
        labels=_shared(selector.pairs | _pairs((leader.get("metadata") or {}).get("labels") or {})),
        group=group,
        gpus=_gpus(leader) + (group - 1) * _gpus(workers),
        writer=writer_of(item, "replicas"),
        gitops=_gitops(item),
        grace_s=float(min(graces)),
        resource_version=str(_metadata(item).get("resourceVersion", "")),
        being_deleted=bool(_metadata(item).get("deletionTimestamp")),
    )


def _templates(spec: Mapping[str, Any]) -> tuple[Document, Document, int]:
    """Of the pod that leads, of those that follow it, and how many they are together."""
    groups = spec.get("leaderWorkerTemplate")
    if groups is None:
        template = spec.get("template") or {}
        return template, template, 1
    workers = groups.get("workerTemplate") or {}
    return groups.get("leaderTemplate") or workers, workers, int(groups.get("size") or 1)


def _outdated(spec: Mapping[str, Any], status: Mapping[str, Any]) -> int:
    """Those below a partition stay what they are; OnDelete waits for a person, and no rollout goes on meanwhile."""
    strategy = spec.get("updateStrategy") or spec.get("rolloutStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return 0
    rolling = strategy.get("rollingUpdate") or strategy.get("rollingUpdateConfiguration") or {}
    first = int((spec.get("ordinals") or {}).get("start") or 0)
    kept = max(0, int(rolling.get("partition") or 0) - first)
    return max(0, int(status.get("replicas") or 0) - kept - int(status.get("updatedReplicas") or 0))


def _generation(item: Document) -> int:
    return int(_metadata(item).get("generation") or 0)


def _gpus(template: Mapping[str, Any]) -> int:
    """Of one pod: its containers together, or the greediest of those that come before them."""
    spec = template.get("spec") or {}
    together = sum(map(_gpus_of, spec.get("containers") or []))
    return max([together, *map(_gpus_of, spec.get("initContainers") or [])])


def _gpus_of(container: Mapping[str, Any]) -> int:
    return math.ceil(_number(((container.get("resources") or {}).get("limits") or {}).get(GPU, 0)))


def pod(item: Document) -> Pod:
    """Of a Pod. One that is over (evicted, say) or on its way out is good for nothing, and no sign of anything."""
    status, labels = item.get("status") or {}, _pairs(_metadata(item).get("labels") or {})
    over = status.get("phase") in _OVER
    conditions = {each.get("type"): each for each in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled") or {}
    there = not over and scheduled.get("status") != "False"
    if over or _metadata(item).get("deletionTimestamp"):
        return Pod(labels=labels, ready=False, unschedulable=False, failing=False, there=there)
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return Pod(
        labels=labels,
        ready=ready,
        unschedulable=scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable",
        failing=not ready and any(map(_fails, containers)),
        there=there,
    )


def _fails(container: Mapping[str, Any]) -> bool:
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in _FAILING:
        return True
    return (
        not container.get("ready") and int(container.get("restartCount") or 0) >= _RESTARTS and not _lasted(container)
    )


def _lasted(container: Mapping[str, Any]) -> bool:
    """Whether its last run was a long one: what ended it, such as a node that was started again, is no crash loop."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    began_s, ended_s = (_seconds(str(ended.get(each) or "")) for each in ("startedAt", "finishedAt"))
    return began_s is not None and ended_s is not None and ended_s - began_s >= _LASTED_S


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
        being_deleted=bool(_metadata(item).get("deletionTimestamp")),
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
        paused=_paused(item),
        idle=None if spec.get("idleReplicaCount") is None else int(spec["idleReplicaCount"]),
        max_writer=writer_of(item, "maxReplicaCount"),
        min_stated=spec.get("minReplicaCount") is not None,
        max_stated=spec.get("maxReplicaCount") is not None,
        resource_version=str(_metadata(item).get("resourceVersion", "")),
        being_deleted=bool(_metadata(item).get("deletionTimestamp")),
    )


def _paused(item: Document) -> str:
    """As KEDA reads its annotations ("Pausing autoscaling"): a number of replicas, or a switch that is off by a word
    for false only.
    """
    annotations = _metadata(item).get("annotations") or {}
    if _PAUSED_REPLICAS in annotations:
        return f"{_PAUSED_REPLICAS}: {annotations[_PAUSED_REPLICAS]}"[:_MOST_SAID]
    for name in _PAUSED:
        if name in annotations and str(annotations[name]) not in _FALSE:
            return f"{name}: {annotations[name]}"[:_MOST_SAID]
    return ""


def disruptions(item: Document) -> Disruptions:
    """Of a PodDisruptionBudget."""
    selector = (item.get("spec") or {}).get("selector")
    return Disruptions(
        selector=None if selector is None else selector_of(selector),
        allowed=int((item.get("status") or {}).get("disruptionsAllowed") or 0),
    )


def free_gpus(item: Document) -> int | None:
    """Of a ResourceQuota; None where it does not limit GPUs, or has not been counted yet."""
    status = item.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    for name in (f"requests.{GPU}", GPU):
        if name in hard and name in used:
            return max(0, math.floor(_number(hard[name]) - _number(used[name])))
    return None


def _number(quantity: Any) -> Decimal:
    """Of a quantity such as 8, "1k" or "10.5". Raises ValueError for what is none."""
    from kubernetes.utils import parse_quantity

    return Decimal(parse_quantity(quantity))


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


def _selector(item: Document) -> Selector:
    """Of the pods of a target; those of a LeaderWorkerSet carry its name in a label."""
    selector = (item.get("spec") or {}).get("selector")
    if selector is not None:
        return selector_of(selector)
    return Selector(pairs=_pairs({SET_NAME: str(_metadata(item).get("name", ""))}))


def _pairs(labels: Mapping[str, str]) -> Labels:
    return _shared(frozenset(labels.items()))


@lru_cache(maxsize=50_000)
def _shared(pairs: Labels) -> Labels:
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
