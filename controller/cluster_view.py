"""What of the cluster belongs to one policy: its target, its scaler, and who else is about. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from controller.capacity_policy import CapacityPolicy, PolicySpec
from controller.cluster_objects import Autoscaler, Disruptions, Pod, Workload
from controller.groups import replicas_of
from controller.selector import Pair, Selector
from controller.snapshot import Pods, Scaler, Target

Key = tuple[str, str]
KINDS = {
    "Deployment": "apps/v1 deployments",
    "StatefulSet": "apps/v1 statefulsets",
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1 leaderworkersets",
}
"""What may be scaled, with group, version and plural."""
_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
_NEEDED = (
    "Pod", "HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget", "ResourceQuota", "EngineProfile",
    "CapacityPolicy",
)  # fmt: skip
"""What every decision rests on: with one of them unreadable nothing is known of rivals, places or limits."""


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """All that the caches hold at one moment."""

    workloads: Mapping[str, Mapping[Key, Workload]]
    """By kind."""
    pods: Mapping[str, Sequence[Pod]]
    """By namespace."""
    hpas: Mapping[Key, Autoscaler] = field(default_factory=dict)
    scaled_objects: Mapping[Key, Autoscaler] = field(default_factory=dict)
    budgets: Mapping[Key, Disruptions] = field(default_factory=dict)
    free_gpus: Mapping[str, int] = field(default_factory=dict)
    """By namespace, where a quota counts them."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """By kind of object: why its cache cannot be believed."""
    unreadable: Mapping[str, Mapping[Key, str]] = field(default_factory=dict)
    """By kind: objects that are there and cannot be understood, and why."""

    def pods_of(self, namespace: str, selector: Selector) -> list[Pod]:
        """The pods that a selector means."""
        candidates = [self._by_label.get((namespace, pair), []) for pair in selector.pairs]
        few = min(candidates, key=len) if candidates else self.pods.get(namespace, ())
        return [pod for pod in few if selector.matches(pod.labels)]

    @cached_property
    def _by_label(self) -> dict[tuple[str, Pair], list[Pod]]:
        """A thousand policies look for their own among ten thousand."""
        found: dict[tuple[str, Pair], list[Pod]] = defaultdict(list)
        for namespace, pods in self.pods.items():
            for each in pods:
                for pair in each.labels:
                    found[namespace, pair].append(each)
        return found

    @cached_property
    def scalers(self) -> dict[Key, list[tuple[str, str, Autoscaler]]]:
        """By namespace and name of their target: kind, name and object, in order."""
        found: dict[Key, list[tuple[str, str, Autoscaler]]] = defaultdict(list)
        for kind, known in (("HPA", self.hpas), ("ScaledObject", self.scaled_objects)):
            for (namespace, name), each in sorted(known.items(), key=lambda item: item[0]):
                found[namespace, each.target[1]].append((kind, name, each))
        return found

    @cached_property
    def budgets_in(self) -> dict[str, list[Disruptions]]:
        """By namespace."""
        found: dict[str, list[Disruptions]] = defaultdict(list)
        for (namespace, _), each in self.budgets.items():
            found[namespace].append(each)
        return found


@dataclass(frozen=True, kw_only=True)
class TargetView:
    """The parts of a snapshot that the cluster tells."""

    target: Target | None = None
    target_problem: str = ""
    cluster_problem: str = ""
    """What cannot be read of the cluster, and why: then nothing is said of what is there and what is not."""
    scaler: Scaler | None = None
    scaler_problem: str = ""
    unmanaged_scaler: str = ""
    gpus_free: int | None = None
    being_deleted: str = ""
    """Target or scaler, where one of them is."""


def target_view(view: ClusterView, policy: CapacityPolicy) -> TargetView:
    """What one policy sees."""
    namespace, spec = policy.metadata.namespace, policy.spec
    unreadable = _unreadable(view, namespace, spec)
    if unreadable:
        return TargetView(cluster_problem=unreadable)
    target, problem = _target(view, namespace, spec)
    scaler, scaler_problem = _scaler(view, namespace, spec)
    return TargetView(
        target=target,
        target_problem=problem,
        scaler=scaler,
        scaler_problem=scaler_problem,
        unmanaged_scaler=_unmanaged(view, namespace, spec),
        gpus_free=view.free_gpus.get(namespace),
        being_deleted=_being_deleted(view, namespace, spec),
    )


def _unreadable(view: ClusterView, namespace: str, spec: PolicySpec) -> str:
    """What of all that a decision rests on cannot be read."""
    ref = spec.target_ref
    for kind in (ref.kind, *_NEEDED):
        if kind in view.problems:
            return f"{kind} objects cannot be read: {view.problems[kind]}"
    why = view.unreadable.get(ref.kind, {}).get((namespace, ref.name))
    if why is not None:
        return f"{ref.kind} {namespace}/{ref.name} cannot be understood: {why}"
    for kind in _SCALERS:
        # Whose target it is cannot be told either: it may be a rival.
        for (space, name), why in view.unreadable.get(kind, {}).items():
            if space == namespace:
                return f"{kind} {space}/{name} cannot be understood: {why}"
    return ""


def _target(view: ClusterView, namespace: str, spec: PolicySpec) -> tuple[Target | None, str]:
    ref = spec.target_ref
    if ref.kind not in KINDS or ref.api_version != KINDS[ref.kind].split()[0]:
        return None, f"{ref.kind} of {ref.api_version} is not scaled here; {', '.join(KINDS)} are"
    found = view.workloads[ref.kind].get((namespace, ref.name))
    if found is None:
        return None, f"{ref.kind} {namespace}/{ref.name} is not there"
    mine = view.pods_of(namespace, found.selector)
    replicas = mine if ref.kind != "LeaderWorkerSet" else replicas_of(mine, found.group)
    unschedulable, failing = sum(each.unschedulable for each in replicas), sum(each.failing for each in replicas)
    ready = min(found.ready, sum(each.ready for each in replicas))
    kinds = {found.labels} if ref.kind != "LeaderWorkerSet" else {found.labels, *(each.labels for each in mine)}
    allowed = [
        each.allowed
        for each in view.budgets_in.get(namespace, [])
        if each.selector is not None and any(map(each.selector.matches, kinds))
    ]
    return (
        Target(
            uid=found.uid,
            replicas=found.replicas,
            pods=Pods(
                ready=ready,
                starting=max(0, found.replicas - ready - unschedulable - failing),
                unschedulable=unschedulable,
                failing=failing,
                outdated=found.outdated,
                there=sum(each.there for each in mine),
            ),
            rolling=found.outdated > 0,
            status_behind=found.behind,
            gpus_per_replica=found.gpus or None,
            writer=found.writer,
            gitops=found.gitops,
            grace_s=found.grace_s,
            disruptions_allowed=min(allowed) if allowed else None,
            resource_version=found.resource_version,
        ),
        "",
    )


def _scaler(view: ClusterView, namespace: str, spec: PolicySpec) -> tuple[Scaler | None, str]:
    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    if spec.hpa_ref is not None:
        kind, name, known = "HorizontalPodAutoscaler", spec.hpa_ref.name, view.hpas
    elif spec.scaled_object_ref is not None:
        kind, name, known = "ScaledObject", spec.scaled_object_ref.name, view.scaled_objects
    else:
        return None, ""
    found = known.get((namespace, name))
    if found is None:
        return None, f"{kind} {namespace}/{name} is not there"
    if found.target != (spec.target_ref.kind, spec.target_ref.name):
        return None, f"{kind} {namespace}/{name} scales {' '.join(found.target)}, not the policy's target"
    return (
        Scaler(
            kind=kind,
            name=name,
            uid=found.uid,
            min_replicas=found.min_replicas,
            max_replicas=found.max_replicas,
            desired=found.desired,
            writer=found.writer,
            max_writer=found.max_writer,
            min_stated=found.min_stated,
            max_stated=found.max_stated,
            resource_version=found.resource_version,
            keda_owned=bool(found.owner),
            idle=found.idle,
            paused=found.paused,
        ),
        "",
    )


def _being_deleted(view: ClusterView, namespace: str, spec: PolicySpec) -> str:
    ref = spec.target_ref
    named: list[tuple[str, str, Workload | Autoscaler | None]] = [
        (ref.kind, ref.name, view.workloads.get(ref.kind, {}).get((namespace, ref.name)))
    ]
    if spec.hpa_ref is not None:
        named.append(("HorizontalPodAutoscaler", spec.hpa_ref.name, view.hpas.get((namespace, spec.hpa_ref.name))))
    if spec.scaled_object_ref is not None:
        name = spec.scaled_object_ref.name
        named.append(("ScaledObject", name, view.scaled_objects.get((namespace, name))))
    found = [f"{kind} {namespace}/{name}" for kind, name, each in named if each is not None and each.being_deleted]
    return found[0] if found else ""


def _unmanaged(view: ClusterView, namespace: str, spec: PolicySpec) -> str:
    """A scaler on the target beside the one that the policy names; KEDA's own HPA belongs to its ScaledObject."""
    target = (spec.target_ref.kind, spec.target_ref.name)
    named = {"HPA": spec.hpa_ref, "ScaledObject": spec.scaled_object_ref}
    for kind, name, found in view.scalers.get((namespace, spec.target_ref.name), []):
        ref = named[kind]
        owned = spec.scaled_object_ref is not None and found.owner == spec.scaled_object_ref.name
        if found.target == target and not owned and (ref is None or ref.name != name):
            return f"{kind} {name}"
    return ""
