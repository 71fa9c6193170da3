"""The shipped roles on a real API server: the controller asks for exactly what they grant."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import yaml
from kubernetes import client

from controller.caches import Caches
from controller.controller import Asked, Controller
from controller.kubernetes_api import Kubernetes
from controller.leader import Alone, LeaderElection
from controller.permissions import EVERYWHERE, LEASE, OWN_NAMESPACE
from controller.snapshot import Evidence, Observation
from controller.snapshots import Key
from controller.telemetry import Telemetry
from planner.profile import CATALOGUE
from tests.cluster.installation import ACCOUNT, DEPLOY, SYSTEM
from tests.cluster.manifests import autoscaler, deployment
from tests.cluster.published_crds import apply_definitions
from tests.cluster.test_published_crds import LEADER_WORKER_SET, SCALED_OBJECT
from tests.cluster.waiting import eventually
from tests.controller.world import PROFILE, readings

Asking = tuple[str, str, str]
"""API group, resource, verb."""
_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update"}
_PATH = re.compile(r"/(?:api|apis/([^/]+))/[^/]+(?:/namespaces/[^/]+)?/([^/]+)(?:/([^/]+))?(?:/([^/]+))?")


pytestmark = pytest.mark.usefixtures("installed")


@contextmanager
def as_the_controller(administrator, account: str = ACCOUNT) -> Iterator[tuple[client.ApiClient, set[Asking]]]:
    """A client that is the controller's service account to the server, and what it asks for."""
    asked: set[Asking] = set()
    over = threading.Event()

    class Listening(client.ApiClient):
        def call_api(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:
            if over.is_set():
                raise ConnectionAbortedError("the test is over")
            asked.add(asking(method, url))
            return super().call_api(method, url, *arguments, **named)

    with Listening(administrator.configuration, "Impersonate-User", account) as connected:
        try:
            yield connected, asked
        finally:
            over.set()  # the thread of the election ends, and the lease runs out


def asking(method: str, url: str) -> Asking:
    """A request in the words of RBAC."""
    parts = urlsplit(url)
    found = _PATH.fullmatch(parts.path)
    assert found is not None, url
    group, resource, name, subresource = found.groups(default="")
    if method == "GET":
        verb = "get" if name else "watch" if "watch=true" in parts.query else "list"
    else:
        verb = _VERBS[method]
    return group, f"{resource}/{subresource}" if subresource else resource, verb


def test_a_request_in_the_words_of_rbac():
    root = "https://server:6443"
    assert asking("GET", f"{root}/api/v1/pods?limit=500") == ("", "pods", "list")
    assert asking("GET", f"{root}/api/v1/namespaces/a/pods?watch=true") == ("", "pods", "watch")
    assert asking("PATCH", f"{root}/apis/apps/v1/namespaces/a/deployments/b/scale") == (
        "apps", "deployments/scale", "patch",
    )  # fmt: skip


def policy(name: str, kind: str = "Deployment", group: str = "apps/v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "CapacityPolicy",
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"apiVersion": group, "kind": kind, "name": name},
            "profileRef": {"name": PROFILE},
            "metrics": {"matchLabels": {"model_name": name}},
            "objectives": ["ttft:p99<=500ms"],
            "bounds": {"max": 3},
            "mode": "Enforce",
            **spec,
        },
    }


def silent(asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
    """Nothing is known of any."""
    return {key: Observation(evidence=Evidence.ABSENT, message="no series") for key in asked}


def crowded(asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
    """Of every policy: far more load than it has replicas for."""
    return {key: Observation(evidence=Evidence.FRESH, readings=readings(time.time(), 200.0, 1)) for key in asked}


@pytest.fixture
def targets(control_plane, namespace, gpu_nodes):
    """One of each kind that is scaled, each with one replica and a policy."""
    apply_definitions(control_plane)
    gpu_nodes(2, 8)
    plain, scaled, by_keda = (deployment(name, pool=namespace.name) for name in ("plain", "scaled", "chat"))
    stateful = {**deployment("stateful", pool=namespace.name), "apiVersion": "apps/v1", "kind": "StatefulSet"}
    hpa = {**autoscaler("scaled", least=1, most=3), "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    deployments = [{**each, "apiVersion": "apps/v1", "kind": "Deployment"} for each in (plain, scaled, by_keda)]
    policies = [
        policy("plain"),
        policy("scaled", hpaRef={"name": "scaled"}),
        policy("chat", scaledObjectRef={"name": "chat"}),
        policy("stateful", kind="StatefulSet"),
        policy("large", kind="LeaderWorkerSet", group="leaderworkerset.x-k8s.io/v1"),
    ]
    profile = (CATALOGUE / f"{PROFILE}.yaml").read_text(encoding="utf-8")
    text = "---\n".join([yaml.safe_dump_all([*deployments, stateful, hpa, *policies]), profile, LEADER_WORKER_SET,
                         SCALED_OBJECT])  # fmt: skip
    control_plane.kubectl("-n", namespace.name, "apply", "-f", "-", text=text)
    eventually(lambda: [pod.status.phase for pod in namespace.pods()], lambda seen: seen == ["Running"] * 4)
    return namespace.name


def looked_and_written(administrator, targets: str, account: str, lease_namespace: str) -> tuple[set[Asking], str]:
    """What a controller asks for that writes to each target once and leads; and its metrics."""
    with as_the_controller(administrator, account) as (connected, asked):
        api = Kubernetes(connected)
        election = LeaderElection(api, namespace=lease_namespace, name=LEASE, identity=uuid4().hex)
        election.start()
        caches, telemetry = Caches(api, targets), Telemetry()
        try:
            assert caches.start(30.0) == []
            controller = Controller(api=api, caches=caches, observe=crowded, leader=Alone(), telemetry=telemetry)
            ticked = controller.tick()
            assert {key[1]: each.write.replicas for key, each in ticked.decisions.items() if each.write} == {
                "plain": 2, "scaled": 2, "chat": 2, "stateful": 2, "large": 2,
            }  # fmt: skip
            assert ticked.writes >= 3 * 5  # the scale, the status and an event of each
            assert caches.problems() == {}
            for observe in (silent, crowded, silent):  # an event that comes again is counted
                controller.observe = observe
                controller.tick()
            eventually(election.leads, within_s=40.0)
            eventually(lambda: ("coordination.k8s.io", "leases", "update") in asked)
            eventually(lambda: {each[1] for each in asked if each[2] == "watch"}, lambda seen: len(seen) == 10)
        finally:
            election.stop()
            caches.stop()
    return asked, str([sample for family in telemetry.registry.collect() for sample in family.samples])


def test_the_controller_asks_for_exactly_what_it_is_granted(administrator, targets):
    asked, metrics = looked_and_written(administrator, targets, ACCOUNT, SYSTEM)
    assert "refused" not in metrics
    assert asked == {
        (each.group, resource, verb)
        for each in (*EVERYWHERE, *OWN_NAMESPACE)
        for resource in each.resources
        for verb in each.verbs
    }
    apps = client.AppsV1Api(administrator)
    replicas = {each.metadata.name: each.spec.replicas for each in apps.list_namespaced_deployment(targets).items}
    assert replicas["plain"] == 2
    assert replicas["chat"] == 1  # KEDA's to move


def test_in_one_namespace_a_role_of_that_namespace_is_enough(administrator, control_plane, targets, tmp_path):
    """As deploy/namespaced installs it: no right outside, and the controller's own arguments keep it within."""
    ours = Path(os.path.relpath(DEPLOY, tmp_path.resolve()))
    overlay = {"namespace": targets, "resources": [str(ours)], "components": [str(ours / "namespaced")]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    made = list(yaml.safe_load_all(control_plane.kubectl("kustomize", str(tmp_path))))
    assert {each["metadata"].get("namespace") for each in made} == {targets}
    assert {each["kind"] for each in made} == {
        "ServiceAccount", "Role", "RoleBinding", "Deployment", "Service", "PodDisruptionBudget",
    }  # fmt: skip
    (pod,) = [each["spec"]["template"]["spec"] for each in made if each["kind"] == "Deployment"]
    assert pod["containers"][0]["args"][-2:] == [
        "--namespace=$(OWN_NAMESPACE)", "--lease-namespace=$(OWN_NAMESPACE)",
    ]  # fmt: skip
    rights = [each for each in made if each["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
    control_plane.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(rights))
    account = f"system:serviceaccount:{targets}:replicast-controller"
    asked, metrics = looked_and_written(administrator, targets, account, targets)
    assert "refused" not in metrics
    assert ("apps", "deployments/scale", "patch") in asked
    outside = {"namespace": "default", "verb": "list", "group": "", "resource": "pods"}
    review = {"spec": {"user": account, "resourceAttributes": outside}}
    assert not client.AuthorizationV1Api(administrator).create_subject_access_review(review).status.allowed


@pytest.mark.parametrize(
    ("verb", "group", "resource", "name"),
    [
        ("get", "", "secrets", ""),
        ("list", "", "configmaps", ""),
        ("delete", "", "pods", ""),
        ("patch", "", "pods", ""),
        ("patch", "apps", "deployments", ""),
        ("update", "apps", "deployments", ""),
        ("create", "apps", "deployments", ""),
        ("patch", "apps", "replicasets", ""),
        ("patch", "replicast.dev", "capacitypolicies", ""),
        ("create", "replicast.dev", "engineprofiles", ""),
        ("update", "coordination.k8s.io", "leases", "another"),
        ("update", "coordination.k8s.io", "leases", ""),
        ("delete", "coordination.k8s.io", "leases", LEASE),
        ("impersonate", "", "users", ""),
        ("get", "autoscaling", "horizontalpodautoscalers", ""),
        ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ],
)
def test_the_controller_may_not(administrator, verb, group, resource, name):
    attributes = {"namespace": SYSTEM, "verb": verb, "group": group, "resource": resource, "name": name}
    review = {"spec": {"user": ACCOUNT, "resourceAttributes": attributes}}
    assert not client.AuthorizationV1Api(administrator).create_subject_access_review(review).status.allowed


def test_its_lease_is_in_its_own_namespace_only(administrator):
    attributes = {"namespace": "default", "verb": "create", "group": "coordination.k8s.io", "resource": "leases"}
    review = {"spec": {"user": ACCOUNT, "resourceAttributes": attributes}}
    assert not client.AuthorizationV1Api(administrator).create_subject_access_review(review).status.allowed
