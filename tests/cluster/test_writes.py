"""What a real API server makes of our writes, and of whose a field is."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from controller.cluster_objects import horizontal_pod_autoscaler, workload
from controller.reasons import Code
from tests.cluster.manifests import autoscaler
from tests.cluster.serving import Serving, apply_ours, engine_profile, model, policy, serving
from tests.cluster.waiting import eventually
from tests.controller.world import condition

CROWD = 160.0


@pytest.fixture(scope="module")
def definitions(control_plane):
    apply_ours(control_plane)


@pytest.fixture
def place(control_plane, definitions, namespace, gpu_nodes):
    """A model, a policy and a scaler perhaps, all of which the controller has seen."""
    gpu_nodes(1, 8)

    @contextmanager
    def holding(*objects, replicas: int = 1, **spec):
        with serving(control_plane, namespace.name) as chat:
            chat.apply(model(namespace.name, replicas), engine_profile(), policy(**spec), *objects)
            caches = chat.controller.caches
            eventually(caches.policies.objects)
            eventually(caches.profiles.objects)
            seen = eventually(lambda: view(chat).workloads["Deployment"].get((chat.namespace, "chat")))
            assert seen.replicas == replicas
            eventually(lambda: view(chat).workloads["Deployment"][chat.namespace, "chat"].ready == replicas)
            eventually(lambda: len(view(chat).hpas) + len(view(chat).scaled_objects) == len(objects))
            chat.rate_per_s = CROWD
            yield chat

    return holding


def view(chat: Serving):
    return chat.controller.caches.view()


def hpa(least: int = 1, most: int = 20) -> dict[str, object]:
    made = autoscaler("chat", least=least, most=most)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **made}


def scaled_object(**bounds: int) -> dict[str, object]:
    """Without bounds it has those of KEDA: none, and a hundred."""
    metadata = {"serverAddress": "p", "query": "up", "threshold": "1"}
    triggers = [{"type": "prometheus", "metadata": metadata}]
    spec = {"scaleTargetRef": {"name": "chat"}, "triggers": triggers, **bounds}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "chat"}, "spec": spec}


def refused(chat: Serving) -> str:
    """The controller decides on what it has seen, and is told why that was not written."""
    ticked = chat.tick()
    assert chat.decision(ticked).write is not None
    status = chat.get("capacitypolicy")["status"]["conditions"]
    found = next(each for each in status if each["type"] == "ScalingActive")
    assert found["reason"] == Code.WRITE_REFUSED
    return str(found["message"])


def forgotten(chat: Serving) -> None:
    """Neither the process nor the status remembers what was written."""
    chat.kubectl(
        "patch", "capacitypolicy", "chat", "--subresource=status", "--type=merge", "-p", '{"status":{"memory":null}}'
    )
    policies = chat.controller.caches.policies
    eventually(lambda: policies.get((chat.namespace, "chat")).status.get("memory"), lambda kept: not kept)
    chat.controller.memories.clear()


# What has changed between look and write


def test_from_none_a_write_is_made_and_only_if_there_are_none_still(place):
    zero = {"metrics": {"matchLabels": {"a": "b"}, "arrivals": {"metric": "m", "matchLabels": {"a": "b"}}}}
    with place(replicas=0, bounds={"min": 0, "max": 20}, **zero) as chat:
        eventually(lambda: view(chat).workloads["Deployment"][chat.namespace, "chat"].replicas == 0)
        chat.tick()
        assert chat.replicas() == 2
        chat.kubectl("scale", "deployment/chat", "--replicas=0")
        eventually(lambda: view(chat).workloads["Deployment"][chat.namespace, "chat"].replicas == 0)
        forgotten(chat)  # else whoever put it to none is a rival
        chat.controller.caches.stop()
        chat.kubectl("scale", "deployment/chat", "--replicas=3")
        assert "422" in refused(chat)
        assert chat.replicas() == 3


@pytest.mark.parametrize("scaler", ["none", "hpa"])
def test_an_object_that_was_made_again_with_the_same_numbers_is_another_one(place, scaler):
    objects, spec = ([hpa()], {"hpaRef": {"name": "chat"}}) if scaler == "hpa" else ([], {})
    with place(*objects, **spec) as chat:
        chat.controller.caches.stop()
        made = objects or [model(chat.namespace)]
        chat.kubectl("delete", "hpa" if objects else "deployment", "chat", "--wait")
        chat.apply(*made)
        assert "422" in refused(chat)
        if objects:
            assert chat.get("hpa")["spec"]["minReplicas"] == 1
        else:
            assert chat.replicas() == 1


@pytest.mark.parametrize(
    "change", [{"maxReplicas": 7}, {"minReplicas": 3}, {"scaleTargetRef": {"kind": "Deployment", "name": "other"}}]
)
def test_a_scaler_that_was_changed_in_between_is_left_as_it_is(place, change):
    with place(hpa(), hpaRef={"name": "chat"}) as chat:
        chat.controller.caches.stop()
        chat.kubectl("patch", "hpa", "chat", "--type=merge", "-p", json.dumps({"spec": change}))
        before = chat.get("hpa")["spec"]
        assert "422" in refused(chat)
        assert chat.get("hpa")["spec"] == before


def test_bounds_that_a_scaled_object_does_not_say_are_written_if_it_still_does_not(place):
    with place(scaled_object(), scaledObjectRef={"name": "chat"}) as chat:
        chat.tick()
        spec = chat.get("scaledobject")["spec"]
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 20)


def test_bounds_that_a_scaled_object_says_by_now_are_left(place):
    with place(scaled_object(), scaledObjectRef={"name": "chat"}) as chat:
        chat.controller.caches.stop()
        chat.kubectl("patch", "scaledobject", "chat", "--type=merge", "-p", '{"spec":{"minReplicaCount":0}}')
        assert "422" in refused(chat)
        assert chat.get("scaledobject")["spec"]["minReplicaCount"] == 0


def test_a_status_that_moves_in_between_refuses_nothing(place):
    """As a Deployment's does with every pod that starts; a test of its resourceVersion would be refused."""
    with place() as chat:
        chat.controller.caches.stop()
        chat.kubectl("annotate", "deployment/chat", "seen=now")
        chat.tick()
        assert chat.replicas() == 2


# A maximum that somebody else keeps


def test_gitops_that_resets_a_maximum_is_named_and_not_fought(place):
    with place(hpa(most=4), hpaRef={"name": "chat"}) as chat:
        chat.rate_per_s = 20.0
        chat.tick()
        assert chat.get("hpa")["spec"]["maxReplicas"] == 20
        for each in range(3):
            text = json.dumps(hpa(most=4))
            chat.kubectl(
                "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-", text=text
            )
            eventually(lambda: view(chat).hpas[chat.namespace, "chat"].max_replicas == 4)
            decision = chat.decision(chat.tick(60.0))
            assert (each, chat.get("hpa")["spec"]["maxReplicas"]) == (each, 4)
            assert "argocd-controller" in condition(decision, "NoRivalWriter")[2]


def test_a_maximum_that_is_lowered_takes_away_what_runs_one_by_one(place):
    with place(hpa(least=5, most=20), replicas=5, hpaRef={"name": "chat"}, bounds={"min": 5, "max": 20}) as chat:
        chat.rate_per_s = 20.0
        eventually(lambda: view(chat).workloads["Deployment"][chat.namespace, "chat"].ready == 5)
        chat.tick()
        chat.tick(60.0)  # it has watched for a whole period
        slow = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
        chat.apply(policy(hpaRef={"name": "chat"}, bounds={"min": 1, "max": 2}, behavior={"scaleDown": slow}))
        eventually(lambda: next(iter(chat.controller.caches.policies.objects().values())).spec.bounds.max == 2)
        key = chat.namespace, "chat"
        for expected in (4, 4, 3, 3, 2, 2):  # a step counts from when it is seen
            decision = chat.decision(chat.tick(60.0 if expected != 4 else 20.0))
            spec = chat.get("hpa")["spec"]
            assert spec["maxReplicas"] == spec["minReplicas"] == expected, decision.reasons
            eventually(chat.replicas, lambda seen, least=expected: seen == least)
            eventually(lambda least=expected: view(chat).workloads["Deployment"][key].replicas == least)
            eventually(lambda least=expected: view(chat).hpas[key].max_replicas == least)


# Whose a field is


def test_the_writer_of_the_replicas_is_who_changed_them_last(place):
    with place(mode="Advise") as chat:

        def writer():
            return workload(chat.get_with_fields("deployment")).writer

        def scaled(manager: str, replicas: int, *more: str):
            patch = json.dumps({"spec": {"replicas": replicas}})
            chat.kubectl(
                "patch", "deployment", "chat", "--type=merge", "-p", patch, f"--field-manager={manager}", *more
            )

        assert writer().manager == "kubectl"  # server-side apply
        chat.kubectl("scale", "deployment/chat", "--replicas=2")
        assert (writer().manager, writer().at_s) == ("kubectl", None)  # `/scale`: no time
        scaled("replicast", 3, "--subresource=scale")
        assert writer().ours
        chat.kubectl("set", "image", "deployment/chat", "engine=other")  # later, and another field
        assert writer().ours
        scaled("helm", 4)
        assert (writer().manager, writer().ours) == ("helm", False)
        scaled("replicast", 5, "--subresource=scale")
        applied = json.dumps(model(chat.namespace, 5))
        chat.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=flux", "-f", "-", text=applied)
        assert writer().ours  # flux agrees, and has changed nothing
        scaled("replicast", 0, "--subresource=scale")
        chat.kubectl("scale", "deployment/chat", "--replicas=1")
        assert writer() is None  # once none are asked for, `/scale` is written by nobody
        scaled("helm", 2)
        assert writer().manager == "helm"


def test_the_writers_of_an_hpas_bounds_are_told_apart(place):
    with place(hpa(), mode="Advise") as chat:

        def writers():
            found = horizontal_pod_autoscaler(chat.get_with_fields("hpa"))
            return found.writer.manager, found.max_writer.manager

        def bounds(manager: str, **spec: int):
            patch = json.dumps({"spec": spec})
            chat.kubectl("patch", "hpa", "chat", "--type=merge", "-p", patch, f"--field-manager={manager}")

        bounds("replicast", minReplicas=2, maxReplicas=9)
        assert writers() == ("replicast", "replicast")
        bounds("helm", maxReplicas=4)
        assert writers() == ("replicast", "helm")
        bounds("zeta", minReplicas=3)
        assert writers() == ("zeta", "helm")
