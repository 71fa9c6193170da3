"""What a policy sees of the cluster's objects, as documents that Kubernetes writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.cluster_objects import disruptions, horizontal_pod_autoscaler, pod, scaled_object, workload
from controller.cluster_view import ClusterView, TargetView, target_view
from controller.decide import decide
from controller.limits import limits_at
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


# Selectors


def test_pods_are_found_by_expressions_too():
    either = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["chat", "chat-canary"]}]}
    pods = [a_pod(labels={"app": app}, ready=True) for app in ("chat", "chat-canary", "other")]
    assert seen(view_of(deployment(2, selector=either), *pods)).target.pods.ready == 2
    narrowed = {"matchLabels": {"app": "chat"}, "matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}]}
    pods = [a_pod(labels=labels, ready=True) for labels in ({"app": "chat"}, {"app": "chat", "canary": "yes"})]
    assert seen(view_of(deployment(2, selector=narrowed), *pods)).target.pods.ready == 1


@pytest.mark.parametrize(
    ("selector", "allowed"),
    [
        ({"matchLabels": {"app": "chat"}}, 0),
        ({"matchLabels": {"app": "other"}}, None),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, 0),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}, None),
        ({}, 0),  # all pods of the namespace
        (None, None),  # none
    ],
)
def test_a_disruption_budget_holds_for_the_pods_that_it_selects(selector: Document | None, allowed: int | None):
    budget = disruptions({"spec": {"selector": selector}, "status": {"disruptionsAllowed": 0}})
    template = {"metadata": {"labels": {"app": "chat", "tier": "gold"}}}
    view = view_of(deployment(template=template), a_pod(ready=True), budgets={(SPACE, "budget"): budget})
    assert seen(view).target.disruptions_allowed == allowed


# Scalers


@pytest.mark.parametrize(
    ("annotation", "value", "paused"),
    [
        ("paused", "true", True),
        ("paused", "yes", True),  # what is no word for false pauses
        ("paused", "false", False),
        ("paused-replicas", "0", True),
        ("paused-scale-in", "true", True),
        ("paused-scale-out", "true", True),
        ("transfer-hpa-ownership", "true", False),
    ],
)
def test_a_paused_scaled_object_is_known_by_its_annotation(annotation: str, value: str, paused: bool):
    metadata = {"name": "chat", "annotations": {f"autoscaling.keda.sh/{annotation}": value}}
    found = scaled_object({"metadata": metadata, "spec": {"scaleTargetRef": {"name": "chat"}}})
    view = view_of(deployment(), a_pod(ready=True), scaled_objects={(SPACE, "chat"): found})
    scaler = seen(view, scaledObjectRef={"name": "chat"}).scaler
    assert scaler.paused == (f"autoscaling.keda.sh/{annotation}: {value}" if paused else "")


# Rollouts


def stateful(replicas: int, updated: int, *, start: int = 0, **strategy: Any) -> Document:
    status = {"updatedReplicas": updated}
    return deployment(replicas, status=status, updateStrategy=strategy, ordinals={"start": start})


@pytest.mark.parametrize(
    ("target", "outdated"),
    [
        (deployment(4, status={"updatedReplicas": 4}), 0),
        (deployment(4, status={"updatedReplicas": 1}), 3),
        (stateful(4, 1, type="RollingUpdate"), 3),
        (stateful(4, 1, type="RollingUpdate", rollingUpdate={"partition": 3}), 0),
        (stateful(4, 1, type="RollingUpdate", rollingUpdate={"partition": 1}), 2),
        (stateful(4, 0, type="RollingUpdate", rollingUpdate={"partition": 9}), 0),
        (stateful(4, 1, start=10, type="RollingUpdate", rollingUpdate={"partition": 13}), 0),
        (stateful(4, 1, start=10, type="RollingUpdate", rollingUpdate={"partition": 12}), 1),
        (stateful(4, 1, type="OnDelete"), 0),
    ],
)
def test_a_rollout_goes_on_as_long_as_it_has_pods_to_replace(target: Document, outdated: int):
    found = seen(view_of(target)).target
    assert (found.pods.outdated, found.rolling) == (outdated, outdated > 0)


@pytest.mark.parametrize(("observed", "behind"), [(4, True), (5, False), (None, False)])
def test_a_status_that_is_older_than_its_spec_is_not_trusted(observed: int | None, behind: bool):
    target = deployment(metadata={"generation": 5}, status={"observedGeneration": observed})
    assert seen(view_of(target)).target.status_behind is behind


# Groups of pods


def group(index: int, *flags: Document) -> list[Document]:
    """The pods of one replica of a LeaderWorkerSet; the first leads."""
    labels = {"leaderworkerset.sigs.k8s.io/name": "chat", "leaderworkerset.sigs.k8s.io/group-index": str(index)}
    return [
        a_pod(labels={**labels, "leaderworkerset.sigs.k8s.io/worker-index": str(worker)}, **each)
        for worker, each in enumerate(flags)
    ]


READY, CRASHES, NO_PLACE = (
    {"ready": True},
    {"containerStatuses": [waiting("CrashLoopBackOff")]},
    {"phase": "Pending", "conditions": UNSCHEDULABLE},
)


def set_of_groups(replicas: int, ready: int, *, updated: int | None = None, **rolling: Any) -> Document:
    def template(gpus: int, grace_s: int) -> Document:
        container = {"name": "engine", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
        return {"spec": {"containers": [container], "terminationGracePeriodSeconds": grace_s}}

    return {
        "metadata": {"namespace": SPACE, "name": "chat", "uid": "one"},
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {"size": 3, "leaderTemplate": template(4, 60), "workerTemplate": template(8, 90)},
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": rolling},
        },
        "status": {
            "replicas": replicas,
            "readyReplicas": ready,
            "updatedReplicas": replicas if updated is None else updated,
        },
    }


GROUPS = {"targetRef": {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "chat"}}


@pytest.mark.parametrize(
    ("second", "counted"),
    [
        ([READY, READY, READY], (2, 0, 0, 0)),
        ([READY, READY, {}], (1, 1, 0, 0)),
        ([READY, READY], (1, 1, 0, 0)),  # a worker is not made yet
        ([{}, CRASHES, CRASHES], (1, 0, 0, 1)),
        ([NO_PLACE, NO_PLACE, NO_PLACE], (1, 0, 1, 0)),
        ([READY, NO_PLACE, CRASHES], (1, 0, 0, 1)),
        ([READY, READY, {"phase": "Failed"}], (1, 1, 0, 0)),
        ([READY, READY, {"metadata": OUT, "ready": True}, READY], (2, 0, 0, 0)),  # made again beside one that leaves
    ],
)
def test_groups_are_counted_and_not_their_pods(second: list[Document], counted: tuple[int, ...]):
    pods = [*group(0, READY, READY, READY), *group(1, *second)]
    found = seen(view_of(set_of_groups(2, 2), *pods, kind="LeaderWorkerSet"), **GROUPS).target.pods
    assert (found.ready, found.starting, found.unschedulable, found.failing) == counted


def test_a_group_that_is_not_ready_by_its_own_controller_is_not():
    pods = [*group(0, READY, READY, READY), *group(1, READY, READY, READY)]
    assert seen(view_of(set_of_groups(2, 1), *pods, kind="LeaderWorkerSet"), **GROUPS).target.pods.ready == 1


def test_a_replica_of_groups_has_the_gpus_of_all_its_pods_and_the_shortest_of_their_grace_periods():
    target = seen(view_of(set_of_groups(2, 2), kind="LeaderWorkerSet"), **GROUPS).target
    assert (target.gpus_per_replica, target.grace_s) == (4 + 2 * 8, 60.0)
    held = snapshot_of(
        policy(**GROUPS, bounds={"min": 1, "max": 40, "maxGPUs": 64}), now_s=START,
        seen=TargetView(target=target, gpus_free=45), observation=None, profile=None, others=(), killed=False,
    )  # fmt: skip
    assert limits_at(held, 8).highest == 3  # 64 GPUs are three groups of 20, and 45 free ones two beside the two
    assert "3 replicas of 20" in limits_at(held, 8).why_highest.message


def test_a_partition_of_groups_is_no_rollout():
    for partition, outdated in ((0, 3), (2, 1), (3, 0)):
        target = set_of_groups(4, 4, updated=1, partition=partition)
        assert seen(view_of(target, kind="LeaderWorkerSet"), **GROUPS).target.pods.outdated == outdated


def test_the_gpus_of_a_pod_are_those_of_its_containers_together():
    def container(gpus: str) -> Document:
        return {"resources": {"limits": {"nvidia.com/gpu": gpus}}}

    spec = {"containers": [container("1"), container("2"), {}], "initContainers": [container("1")]}
    assert seen(view_of(deployment(template={"spec": spec}))).target.gpus_per_replica == 3
    assert seen(view_of(deployment(template={"spec": {"containers": [{}]}}))).target.gpus_per_replica is None


# Scalers


@pytest.mark.parametrize(("stated", "idle"), [({}, None), ({"idleReplicaCount": 0}, 0)])
def test_keda_s_idle_count_is_read(stated: Document, idle: int | None):
    made = {"spec": {"scaleTargetRef": {"name": "chat"}, "minReplicaCount": 2, **stated}}
    view = view_of(deployment(), scaled_objects={(SPACE, "chat"): scaled_object(made)})
    scaler = seen(view, scaledObjectRef={"name": "chat"}).scaler
    assert (scaler.idle, scaler.min_replicas, scaler.max_replicas) == (idle, 2, 100)


GOING = {"deletionTimestamp": "2027-01-15T08:00:00Z"}


def test_a_target_or_scaler_that_is_being_deleted_is_named():
    target = deployment()
    assert seen(view_of(target)).being_deleted == ""
    hpa = {"metadata": {"name": "chat", **GOING}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "chat"}}}
    view = view_of(target, hpas={(SPACE, "chat"): horizontal_pod_autoscaler(hpa)})
    assert seen(view).being_deleted == ""
    assert seen(view, hpaRef={"name": "chat"}).being_deleted == "HorizontalPodAutoscaler serving/chat"
    scaled = {**hpa, "spec": {"scaleTargetRef": {"name": "chat"}}}
    view = view_of(target, scaled_objects={(SPACE, "chat"): scaled_object(scaled)})
    assert seen(view, scaledObjectRef={"name": "chat"}).being_deleted == "ScaledObject serving/chat"
    target["metadata"] |= GOING
    found = seen(view_of(target))
    assert found.being_deleted == "Deployment serving/chat"
    assert Code.BEING_DELETED in codes(decided(found))
