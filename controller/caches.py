"""Every watch cache of the controller, and what they hold at one moment."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from controller.apply import path
from controller.capacity_policy import CapacityPolicy
from controller.cluster_objects import (
    Autoscaler,
    Disruptions,
    Pod,
    Workload,
    disruptions,
    free_gpus,
    horizontal_pod_autoscaler,
    pod,
    scaled_object,
    workload,
)
from controller.cluster_view import KINDS, ClusterView
from controller.invalid_policy import InvalidPolicy, policy_or_why_not
from controller.kubernetes_api import Kubernetes
from controller.snapshots import Profile, profile_of
from controller.watch_cache import Key, WatchCache

POLICIES, PROFILES = "replicast.dev/v1alpha1 capacitypolicies", "replicast.dev/v1alpha1 engineprofiles"
SILENT_S = 330.0
"""Longer than a quiet watch lasts: what has not been heard of since then may have changed."""


class Caches:
    """Of one namespace, or of all (an empty name)."""

    def __init__(self, api: Kubernetes, namespace: str = "") -> None:
        def cache(kind: str, reduce: Any, *, optional: bool = False) -> WatchCache[Any]:
            return WatchCache(api, path(kind, namespace), reduce, optional=optional)

        self.policies: WatchCache[CapacityPolicy | InvalidPolicy] = cache(POLICIES, policy_or_why_not)
        self.profiles: WatchCache[Profile] = cache(PROFILES, profile_of)
        self._workloads: dict[str, WatchCache[Workload]] = {
            kind: cache(place, workload, optional=kind == "LeaderWorkerSet") for kind, place in KINDS.items()
        }
        self._pods: WatchCache[Pod] = cache("v1 pods", pod)
        self._hpas: WatchCache[Autoscaler] = cache("autoscaling/v2 horizontalpodautoscalers", horizontal_pod_autoscaler)
        self._scaled: WatchCache[Autoscaler] = cache("keda.sh/v1alpha1 scaledobjects", scaled_object, optional=True)
        self._budgets: WatchCache[Disruptions] = cache("policy/v1 poddisruptionbudgets", disruptions)
        self._quotas: WatchCache[int | None] = cache("v1 resourcequotas", free_gpus)
        for each in self._by_kind.values():
            each.returned = self._wake

    @property
    def _by_kind(self) -> dict[str, WatchCache[Any]]:
        return {
            "CapacityPolicy": self.policies,
            "EngineProfile": self.profiles,
            **self._workloads,
            "Pod": self._pods,
            "HorizontalPodAutoscaler": self._hpas,
            "ScaledObject": self._scaled,
            "PodDisruptionBudget": self._budgets,
            "ResourceQuota": self._quotas,
        }

    def _wake(self) -> None:
        """The server answers again: whoever waits before it asks again need not."""
        for each in self._by_kind.values():
            each.wake()

    def start(self, timeout_s: float) -> list[str]:
        """Begin to watch; returns what could not be listed within a time."""
        for each in self._by_kind.values():
            each.start()
        end_s = time.monotonic() + timeout_s
        late = [kind for kind, each in self._by_kind.items() if not each.wait(max(0.0, end_s - time.monotonic()))]
        return [f"{kind}: {self._by_kind[kind].problem or 'no answer yet'}" for kind in late]

    def unsynced(self) -> list[str]:
        """What has not been listed once, and why."""
        late = {kind: each for kind, each in self._by_kind.items() if not each.wait(0.0)}
        return [f"{kind}: {each.problem or 'no answer yet'}" for kind, each in late.items()]

    def dead(self) -> list[str]:
        """Kinds whose watch has ended for ever."""
        return [kind for kind, each in self._by_kind.items() if each.dead]

    def stop(self) -> None:
        """No more watching."""
        for each in self._by_kind.values():
            each.stop()

    def problems(self) -> dict[str, str]:
        """By kind: why it cannot be believed now."""
        found = {}
        for kind, each in self._by_kind.items():
            if each.problem:
                found[kind] = each.problem
            elif each.dead:
                found[kind] = f"WATCH {each.path}: its thread has ended; the controller must be started again"
            elif not each.wait(0.0):
                found[kind] = f"LIST {each.path}: no answer yet"
            elif each.silent_s() > SILENT_S:
                found[kind] = f"WATCH {each.path}: nothing was heard for {each.silent_s():.0f} s"
        return found

    def view(self) -> ClusterView:
        """What they hold now."""
        pods: dict[str, list[Pod]] = defaultdict(list)
        for (namespace, _), each in self._pods.objects().items():
            pods[namespace].append(each)
        return ClusterView(
            workloads={kind: each.objects() for kind, each in self._workloads.items()},
            pods=pods,
            hpas=self._hpas.objects(),
            scaled_objects=self._scaled.objects(),
            budgets=self._budgets.objects(),
            free_gpus=_least(self._quotas.objects()),
            problems=self.problems(),
            unreadable={kind: odd for kind, each in self._by_kind.items() if (odd := each.unreadable())},
        )


def _least(quotas: dict[Key, int | None]) -> dict[str, int]:
    """By namespace the least that any of its quotas leaves."""
    found: dict[str, int] = {}
    for (namespace, _), free in quotas.items():
        if free is not None:
            found[namespace] = min(free, found.get(namespace, free))
    return found
