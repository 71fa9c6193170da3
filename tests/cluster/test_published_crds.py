"""What others publish and a policy may scale: LeaderWorkerSet by its /scale, and KEDA's ScaledObject."""

from __future__ import annotations

import json

import pytest

from tests.cluster.published_crds import apply_definitions


@pytest.fixture(scope="module")
def definitions(control_plane):
    apply_definitions(control_plane)


LEADER_WORKER_SET = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: large}
spec:
  replicas: 1
  leaderWorkerTemplate:
    size: 2
    workerTemplate: {spec: {containers: [{name: engine, image: engine}]}}
"""

SCALED_OBJECT = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: chat}
spec:
  scaleTargetRef: {name: chat}
  minReplicaCount: 1
  maxReplicaCount: 8
  triggers: [{type: prometheus, metadata: {serverAddress: prometheus, query: up, threshold: "1"}}]
"""


def test_a_leader_worker_set_is_scaled_like_a_deployment(control_plane, namespace, definitions):
    control_plane.kubectl("-n", namespace.name, "apply", "-f", "-", text=LEADER_WORKER_SET)
    control_plane.kubectl("-n", namespace.name, "scale", "leaderworkerset/large", "--replicas=3")
    scale = f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{namespace.name}/leaderworkersets/large/scale"
    assert json.loads(control_plane.kubectl("get", "--raw", scale))["spec"]["replicas"] == 3


def test_a_scaled_object_keeps_its_bounds(control_plane, namespace, definitions):
    control_plane.kubectl("-n", namespace.name, "apply", "-f", "-", text=SCALED_OBJECT)
    patch = '{"spec": {"minReplicaCount": 4}}'
    control_plane.kubectl("-n", namespace.name, "patch", "scaledobject/chat", "--type=merge", "-p", patch)
    kept = json.loads(control_plane.kubectl("-n", namespace.name, "get", "scaledobject/chat", "-o", "json"))["spec"]
    assert (kept["minReplicaCount"], kept["maxReplicaCount"]) == (4, 8)


def test_what_the_definition_forbids_is_refused(control_plane, namespace, definitions):
    with pytest.raises(RuntimeError, match=r"spec\.scaleTargetRef: Required value"):
        control_plane.kubectl(
            "-n", namespace.name, "apply", "-f", "-", text=SCALED_OBJECT.replace("scaleTargetRef: {name: chat}", "")
        )
