"""The controller against a real API server, with real Deployments, HPAs and scheduling."""

from __future__ import annotations

import json

import pytest

from controller import kubernetes_api
from controller.reasons import Code
from controller.snapshot import Evidence, Observation
from tests.cluster.manifests import autoscaler
from tests.cluster.serving import apply_ours, engine_profile, model, policy, serving
from tests.cluster.waiting import eventually
from tests.controller.world import codes, condition


@pytest.fixture(scope="module")
def definitions(control_plane):
    apply_ours(control_plane)


@pytest.fixture
def chat(control_plane, definitions, namespace, gpu_nodes):
    """One replica of a model, with room for sixteen, and a controller that knows them."""
    gpu_nodes(2, 8)
    with serving(control_plane, namespace.name) as found:
        found.apply(model(namespace.name), engine_profile())
        eventually(lambda: found.get("deployment").get("status", {}).get("readyReplicas") == 1)
        yield found


def knows(chat, *names: str):
    """Wait until the caches have these policies, and what they name."""
    key = (chat.namespace, "chat")
    eventually(lambda: set(chat.controller.caches.policies.objects()) == {(chat.namespace, name) for name in names})
    eventually(chat.controller.caches.profiles.objects)
    eventually(lambda: chat.controller.caches.problems() == {})
    eventually(lambda: chat.controller.caches.view().workloads["Deployment"][key].ready >= 1)


def replicas_seen(chat, count: int):
    eventually(lambda: chat.controller.caches.view().workloads["Deployment"][chat.namespace, "chat"].ready == count)


def test_load_rises_and_falls_and_every_step_is_told(chat):
    chat.apply(policy())
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.tick()
    assert chat.replicas() == 2  # doubled: the policy of scaling up
    replicas_seen(chat, 2)
    chat.tick()
    chat.tick(60.0)
    grown = eventually(chat.replicas, lambda seen: seen == 4)
    replicas_seen(chat, grown)
    settled = chat.decision(chat.tick(60.0)).desired
    status = chat.get("capacitypolicy")["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (grown, settled)
    assert {each["type"]: each["status"] for each in status["conditions"]}["ScalingActive"] == "True"
    chat.rate_per_s = 10.0
    for _ in range(100):
        before = chat.replicas()
        chat.tick()
        assert chat.replicas() >= before - 1
        replicas_seen(chat, chat.replicas())
        if before == 1:
            break
    assert chat.replicas() == 1
    events = json.loads(chat.kubectl("get", "events", "-o", "json"))["items"]
    told = [each["message"] for each in events if each["involvedObject"]["kind"] == "CapacityPolicy"]
    assert any(message.startswith("1 to 2 (Scale):") for message in told)


def test_a_steady_load_writes_nothing(chat):
    chat.apply(policy())
    knows(chat, "chat")
    for _ in range(10):  # until there is a trend to tell of
        chat.tick()
    version = chat.get("capacitypolicy")["metadata"]["resourceVersion"]
    assert [chat.tick().writes for _ in range(5)] == [0] * 5
    assert chat.get("capacitypolicy")["metadata"]["resourceVersion"] == version


def test_advice_writes_a_status_and_nothing_else(chat):
    chat.apply(policy(mode="Advise"))
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.tick()
    assert chat.replicas() == 1
    status = chat.get("capacitypolicy")["status"]
    assert status["desiredReplicas"] == 2
    assert "AdviseOnly" in {each["reason"] for each in status["conditions"]}


def test_with_an_hpa_its_minimum_moves_and_its_controller_follows(chat):
    hpa = autoscaler("chat", least=1, most=4)
    chat.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **hpa})
    chat.apply(policy(hpaRef={"name": "chat"}))
    knows(chat, "chat")
    eventually(lambda: chat.controller.caches.view().hpas)
    chat.rate_per_s = 160.0
    chat.tick()
    spec = chat.get("hpa")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 20)
    eventually(chat.replicas, lambda seen: seen == 2)


def test_the_target_of_an_hpa_that_zero_has_disabled_is_started_and_the_hpa_goes_on(chat):
    hpa = autoscaler("chat", least=1, most=4)
    chat.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **hpa})
    chat.kubectl("scale", "deployment/chat", "--replicas=0")
    reason = "{.status.conditions[?(@.type=='ScalingActive')].reason}"
    disabled = lambda: chat.kubectl("get", "hpa/chat", "-o", f"jsonpath={reason}") == "ScalingDisabled"  # noqa: E731
    eventually(disabled)
    chat.observed["chat"] = Observation(evidence=Evidence.ABSENT, message="no pod is to run")
    chat.apply(policy(hpaRef={"name": "chat"}, bounds={"min": 2, "max": 10}))
    caches = chat.controller.caches
    eventually(lambda: caches.policies.objects() and caches.profiles.objects() and caches.view().hpas)
    eventually(lambda: caches.view().workloads["Deployment"][chat.namespace, "chat"].replicas == 0)
    told = chat.decision(chat.tick())
    assert condition(told, "ScalingActive")[:2] == ("False", "TargetAtZero")
    assert (chat.get("hpa")["spec"]["minReplicas"], chat.replicas()) == (2, 0)
    eventually(lambda: [each.min_replicas for each in caches.view().hpas.values()] == [2])
    chat.tick()
    assert chat.replicas() == 2
    eventually(lambda: not disabled())
    replicas_seen(chat, 2)
    eventually(lambda: caches.view().workloads["Deployment"][chat.namespace, "chat"].replicas == 2)
    del chat.observed["chat"]
    decision = chat.decision(chat.tick())
    assert condition(decision, "NoRivalWriter")[0] == "True"
    assert condition(decision, "ScalingActive")[0] == "True"


def test_an_hpa_that_the_policy_does_not_name_is_not_fought(chat):
    hpa = autoscaler("chat", least=1, most=4)
    chat.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **hpa}, policy())
    knows(chat, "chat")
    eventually(lambda: chat.controller.caches.view().hpas)
    chat.rate_per_s = 160.0
    decision = chat.decision(chat.tick())
    assert chat.replicas() == 1
    assert condition(decision, "NoRivalWriter")[:2] == ("False", "ScalerNotNamed")


def test_a_scaled_object_of_keda_is_changed_and_its_hpa_left_alone(chat):
    chat.apply(
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "chat"},
            "spec": {
                "scaleTargetRef": {"name": "chat"},
                "maxReplicaCount": 8,
                "triggers": [
                    {"type": "prometheus", "metadata": {"serverAddress": "p", "query": "up", "threshold": "1"}}
                ],
            },
        },
        policy(scaledObjectRef={"name": "chat"}),
    )
    knows(chat, "chat")
    eventually(lambda: chat.controller.caches.view().scaled_objects)
    chat.rate_per_s = 160.0
    chat.tick()
    spec = chat.get("scaledobject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 20)
    assert chat.replicas() == 1  # KEDA itself is not here
    chat.kubectl("annotate", "scaledobject", "chat", "autoscaling.keda.sh/paused-replicas=0")
    eventually(lambda: any(each.paused for each in chat.controller.caches.view().scaled_objects.values()))
    chat.tick()
    decision = chat.decision(chat.tick(120.0))
    assert (decision.write, decision.proposed is not None) == (None, True)
    status, reason, message = condition(decision, "ScalingActive")
    assert (status, reason) == ("False", "ScalerPaused")
    assert "autoscaling.keda.sh/paused-replicas: 0" in message
    assert chat.get("scaledobject")["spec"] == spec


def test_a_leader_worker_set_is_scaled_by_groups(chat):
    large = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "large"},
        "spec": {
            "replicas": 1,
            "leaderWorkerTemplate": {
                "size": 2,
                "workerTemplate": {"spec": {"containers": [{"name": "engine", "image": "engine"}]}},
            },
        },
    }
    target = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "large"}
    chat.apply(large, policy(targetRef=target))
    eventually(lambda: chat.controller.caches.view().workloads["LeaderWorkerSet"])
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.tick()
    assert chat.get("leaderworkerset", "large")["spec"]["replicas"] == 2
    # The second group has its leader only: one replica serves, whatever the number of pods.
    chat.apply(*(group_pod(chat.namespace, *place) for place in ((0, 0), (0, 1), (1, 0))))
    said = {"status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}}
    chat.kubectl("patch", "leaderworkerset/large", "--subresource=status", "--type=merge", "-p", json.dumps(said))
    eventually(lambda: [pod.ready for pod in chat.controller.caches.view().pods[chat.namespace]].count(True) == 4)
    eventually(lambda: chat.decision(chat.tick()).ready == 1)
    chat.apply(group_pod(chat.namespace, 1, 1))
    eventually(lambda: chat.decision(chat.tick()).ready == 2)


def group_pod(pool: str, group: int, worker: int):
    """As the LeaderWorkerSet's controller makes them."""
    label = "leaderworkerset.sigs.k8s.io"
    labels = {f"{label}/name": "large", f"{label}/group-index": str(group), f"{label}/worker-index": str(worker)}
    spec = model(pool)["spec"]["template"]["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"large-{group}-{worker}", "labels": labels},
        "spec": spec,
    }


def test_a_stateful_set_that_keeps_a_partition_is_scaled_down_all_the_same(chat):
    """The real controller updates what is above the partition, and then nothing goes on."""
    pods = model(chat.namespace)["spec"]["template"]
    pods = json.loads(json.dumps(pods).replace('"chat"', '"shards"'))
    either = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["shards"]}]}
    spec = {"replicas": 3, "serviceName": "shards", "selector": either, "podManagementPolicy": "Parallel"}
    spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    shards = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "shards"}}
    chat.apply({**shards, "spec": {**spec, "template": pods}})
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shards"}
    chat.apply(policy(targetRef=target))
    knows(chat, "chat")

    def seen():
        return chat.controller.caches.view().workloads["StatefulSet"].get((chat.namespace, "shards"))

    eventually(lambda: seen() and seen().ready == 3)
    newer = json.loads(json.dumps(pods).replace('"engine"', '"newer"'))
    chat.apply({**shards, "spec": {**spec, "template": newer}})
    eventually(lambda: chat.get("statefulset", "shards")["status"].get("updatedReplicas") == 1)
    eventually(lambda: not seen().behind and seen().outdated == 0 and seen().ready == 3)
    status = chat.get("statefulset", "shards")["status"]
    assert status["currentRevision"] != status["updateRevision"]
    chat.rate_per_s = 5.0
    decision = chat.decision(chat.tick())
    assert (decision.ready, Code.ROLLOUT in codes(decision)) == (3, False)
    eventually(lambda: chat.tick() and chat.get("statefulset", "shards")["spec"]["replicas"] < 3)


def test_two_policies_on_one_target_name_each_other_and_write_nothing(chat):
    chat.apply(policy(), policy("other"))
    knows(chat, "chat", "other")
    chat.rate_per_s = 160.0
    ticked = chat.tick()
    assert chat.replicas() == 1
    assert f"{chat.namespace}/other" in condition(chat.decision(ticked), "NoRivalWriter")[2]
    assert f"{chat.namespace}/chat" in condition(chat.decision(ticked, "other"), "NoRivalWriter")[2]


def test_a_person_who_scales_between_look_and_write_wins(chat):
    chat.apply(policy())
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.controller.caches.stop()  # the controller's view stays what it is
    chat.kubectl("scale", "deployment/chat", "--replicas=7")
    ticked = chat.tick()
    assert chat.replicas() == 7
    assert ticked.decisions[chat.namespace, "chat"].write is not None


def test_a_person_who_scales_after_us_is_named(chat):
    chat.apply(policy())
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.tick()
    replicas_seen(chat, 2)
    chat.kubectl("scale", "deployment/chat", "--replicas=1")
    replicas_seen(chat, 1)
    decision = chat.decision(chat.tick())
    assert chat.replicas() == 1
    assert "kubectl" in condition(decision, "NoRivalWriter")[2]


def test_too_few_gpus_stop_the_asking(chat):
    chat.apply(policy(bounds={"min": 1, "max": 40}))
    knows(chat, "chat")
    chat.rate_per_s = 160.0
    chat.kubectl("scale", "deployment/chat", "--replicas=20")
    eventually(lambda: sum(pod.unschedulable for pod in chat.controller.caches.view().pods[chat.namespace]) == 4)
    replicas_seen(chat, 16)
    chat.rate_per_s = 2000.0
    decision = chat.decision(chat.tick())
    assert (chat.replicas(), decision.ready) == (20, 16)
    assert Code.NO_PLACE in codes(decision)


def test_an_evicted_pod_that_lies_about_is_no_sign_of_failing(chat, namespace):
    chat.apply(policy())
    knows(chat, "chat")
    (first,) = namespace.pods()
    unready = {"type": "Ready", "status": "False", "reason": "PodFailed"}
    evicted = {"status": {"phase": "Failed", "reason": "Evicted", "conditions": [unready]}}
    namespace.core.patch_namespaced_pod_status(first.metadata.name, chat.namespace, evicted)
    eventually(lambda: sorted(pod.ready for pod in chat.controller.caches.view().pods[chat.namespace]) == [False, True])
    chat.rate_per_s = 160.0
    decision = chat.decision(chat.tick())
    assert (chat.replicas(), Code.PODS_FAILING in codes(decision)) == (2, False)


def test_a_quota_that_is_written_in_thousands_is_read(chat):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus"}}
    chat.apply(policy(), {**quota, "spec": {"hard": {"requests.nvidia.com/gpu": "1k"}}})
    knows(chat, "chat")
    eventually(lambda: chat.controller.caches.view().free_gpus, lambda free: free == {chat.namespace: 999})
    assert chat.controller.caches.dead() == []


def test_a_deleted_profile_and_target_hold_and_come_back(chat):
    chat.apply(policy())
    knows(chat, "chat")
    chat.tick()
    chat.kubectl("delete", "engineprofile", "--all")
    eventually(lambda: not chat.controller.caches.profiles.objects())
    held = chat.tick()
    assert Code.PROFILE_MISSING in codes(chat.decision(held))
    assert (chat.namespace, "chat") in held.undecided
    chat.kubectl("delete", "deployment/chat")
    eventually(lambda: not chat.controller.caches.view().workloads["Deployment"])
    assert Code.TARGET_MISSING in codes(chat.decision(chat.tick()))
    chat.apply(engine_profile(), model(chat.namespace))
    knows(chat, "chat")
    replicas_seen(chat, 1)
    assert chat.decision(chat.tick()).needed == 1


def test_an_api_server_that_freezes_is_told_and_nothing_is_written_twice(chat, control_plane, monkeypatch):
    # Frozen for longer than ten seconds the other controllers lose their leases, and end.
    monkeypatch.setattr(kubernetes_api.Kubernetes._send, "__kwdefaults__", {"read_s": 2.0})
    chat.apply(policy())
    knows(chat, "chat")
    chat.tick()
    chat.rate_per_s = 160.0
    with control_plane.frozen("kube-apiserver"):
        ticked = chat.tick()
    assert chat.decision(ticked).write is not None
    eventually(lambda: chat.tick(0.0) and chat.replicas() == 2)


def test_a_policy_that_a_finalizer_keeps_writes_no_more_replicas(chat):
    chat.apply(policy())
    knows(chat, "chat")
    finalizers = '{"metadata":{"finalizers":["example.com/keeps"]}}'
    chat.kubectl("patch", "capacitypolicy", "chat", "--type=merge", "-p", finalizers)
    chat.kubectl("delete", "capacitypolicy", "chat", "--wait=false")
    key = (chat.namespace, "chat")
    eventually(lambda: chat.controller.caches.policies.get(key).metadata.deletion_timestamp)
    try:
        chat.rate_per_s = 160.0
        decision = chat.decision(chat.tick())
        assert chat.replicas() == 1
        assert condition(decision, "ScalingActive")[:2] == ("False", "BeingDeleted")
    finally:
        chat.kubectl("patch", "capacitypolicy", "chat", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')


def test_a_target_that_is_being_deleted_is_not_scaled(chat):
    chat.apply(policy())
    knows(chat, "chat")
    chat.kubectl(
        "patch", "deployment", "chat", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/keeps"]}}'
    )
    chat.kubectl("delete", "deployment", "chat", "--wait=false")
    key = (chat.namespace, "chat")
    eventually(lambda: chat.controller.caches.view().workloads["Deployment"][key].being_deleted)
    try:
        chat.rate_per_s = 160.0
        decision = chat.decision(chat.tick())
        assert chat.replicas() == 1
        assert Code.BEING_DELETED in codes(decision)
    finally:
        chat.kubectl("patch", "deployment", "chat", "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
