"""What a policy sees of the cluster's objects, as documents that Kubernetes writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.cluster_objects import pod, workload
from controller.cluster_view import ClusterView, TargetView, target_view
from controller.decide import decide
from controller.memory import Memory
from controller.reasons import Code
from controller.snapshots import snapshot_of
from tests.controller.world import START, codes, condition, policy

SPACE = "serving"
Document = dict[str, Any]


def deployment(replicas: int = 3, *, status: Document | None = None, metadata: Document | None = None, **spec: Any):
    counted = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, **(status or {})}
    return {
        "metadata": {"namespace": SPACE, "name": "chat", "uid": "one", **(metadata or {})},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "chat"}}, **spec},
        "status": counted,
    }


def a_pod(*, labels: Document | None = None, ready: bool = False, metadata: Document | None = None, **status: Any):
    found = [{"type": "Ready", "status": "True" if ready else "False"}, *status.pop("conditions", [])]
    return {
        "metadata": {"labels": {"app": "chat"} if labels is None else labels, **(metadata or {})},
        "status": {"phase": "Running", "conditions": found, **status},
    }


def view_of(target: Document, *pods: Document, kind: str = "Deployment", **more: Any) -> ClusterView:
    workloads = {each: {} for each in ("Deployment", "StatefulSet", "LeaderWorkerSet")}
    workloads[kind] = {(SPACE, target["metadata"]["name"]): workload(target)}
    return ClusterView(workloads=workloads, pods={SPACE: [pod(each) for each in pods]}, **more)


def seen(view: ClusterView, **spec: Any) -> TargetView:
    return target_view(view, policy(**spec))


def decided(found: TargetView, **spec: Any):
    snapshot = snapshot_of(
        policy(**spec), now_s=START, seen=found, observation=None, profile=None, others=(), killed=False
    )
    return decide(snapshot, Memory(), None).decision


@pytest.mark.parametrize(
    "problems",
    [{"Deployment": "LIST x: 403 Forbidden"}, {"Pod": "no answer yet"}, {"EngineProfile": "LIST x: cannot be reached"}],
)
def test_what_cannot_be_read_is_named_and_is_not_called_missing(problems: dict[str, str]):
    view = ClusterView(workloads={"Deployment": {}}, pods={}, problems=problems)
    decision = decided(seen(view, hpaRef={"name": "chat"}), hpaRef={"name": "chat"})
    assert (decision.write, decision.desired) == (None, None)
    ((kind, why),) = problems.items()
    assert condition(decision, "Ready") == ("False", "ClusterUnreadable", f"{kind} objects cannot be read: {why}")
    assert condition(decision, "ProfileFresh")[:2] == ("Unknown", "ClusterUnreadable")
    assert codes(decision) == {Code.CLUSTER_UNREADABLE}


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        ({"Deployment": {(SPACE, "chat"): "ValueError: x"}}, "Deployment serving/chat"),
        ({"HorizontalPodAutoscaler": {(SPACE, "whose"): "ValueError: x"}}, "HorizontalPodAutoscaler serving/whose"),
        ({"ScaledObject": {("elsewhere", "whose"): "ValueError: x"}}, ""),
        ({"Deployment": {(SPACE, "another"): "ValueError: x"}}, ""),
    ],
)
def test_an_object_that_cannot_be_understood_holds_those_that_it_may_concern(odd: Any, named: str):
    found = seen(replace(view_of(deployment(), a_pod(ready=True)), unreadable=odd))
    assert (found.target is None) == bool(named)
    assert found.cluster_problem == (f"{named} cannot be understood: ValueError: x" if named else "")


# Pods


def waiting(reason: str) -> Document:
    return {"ready": False, "restartCount": 1, "state": {"waiting": {"reason": reason}}}


def restarted(times: int, *, ran_s: int = 60, ready: bool = False) -> Document:
    minutes, seconds = divmod(ran_s, 60)
    last = {"startedAt": "2026-01-01T08:00:00Z", "finishedAt": f"2026-01-01T08:{minutes:02}:{seconds:02}Z"}
    return {"ready": ready, "restartCount": times, "state": {"running": {}}, "lastState": {"terminated": last}}


UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
OUT = {"deletionTimestamp": "2026-01-01T08:00:00Z"}


@pytest.mark.parametrize(
    ("case", "counted"),
    [
        (a_pod(ready=True), "ready"),
        (a_pod(), "starting"),
        (a_pod(phase="Pending", conditions=UNSCHEDULABLE), "unschedulable"),
        *((a_pod(containerStatuses=[waiting(reason)]), "failing") for reason in (
            "CrashLoopBackOff", "ImagePullBackOff", "RunContainerError", "CreateContainerError", "InvalidImageName")),
        (a_pod(initContainerStatuses=[waiting("CrashLoopBackOff")]), "failing"),
        (a_pod(containerStatuses=[waiting("ContainerCreating")]), "starting"),
        (a_pod(containerStatuses=[waiting("PodInitializing")]), "starting"),
        (a_pod(containerStatuses=[restarted(3)]), "failing"),
        (a_pod(containerStatuses=[restarted(2)]), "starting"),
        (a_pod(containerStatuses=[restarted(9, ran_s=3000)]), "starting"),  # its node was started again
        (a_pod(containerStatuses=[restarted(9, ready=True), restarted(0)]), "starting"),
        # Over, or on their way out: their places are taken by others
        (a_pod(phase="Failed", reason="Evicted"), "starting"),
        (a_pod(phase="Failed", containerStatuses=[restarted(9)]), "starting"),
        (a_pod(phase="Succeeded"), "starting"),
        (a_pod(metadata=OUT, ready=True), "starting"),
        (a_pod(metadata=OUT, containerStatuses=[waiting("CrashLoopBackOff")]), "starting"),
        (a_pod(metadata=OUT, phase="Pending", conditions=UNSCHEDULABLE), "starting"),
    ],
)  # fmt: skip
def test_a_pod_counts_as_what_it_is(case: Document, counted: str):
    pods = seen(view_of(deployment(1), case)).target.pods
    assert [name for name in ("ready", "starting", "unschedulable", "failing") if getattr(pods, name)] == [counted]


def test_evicted_and_leaving_pods_beside_healthy_ones_stop_nothing():
    evicted, leaving = a_pod(phase="Failed", reason="Evicted"), a_pod(metadata=OUT)
    pods = seen(view_of(deployment(2), *[a_pod(ready=True)] * 2, *[evicted] * 5, leaving)).target.pods
    assert (pods.ready, pods.starting, pods.unschedulable, pods.failing) == (2, 0, 0, 0)
