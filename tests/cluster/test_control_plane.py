"""The real parts, as the stories about the controller use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from scripts.control_plane import kubernetes_version
from tests.cluster import control_plane_keeper
from tests.cluster.control_plane import ROOT
from tests.cluster.manifests import CRASH_LOOPING, READY_AFTER, autoscaler, deployment
from tests.cluster.waiting import eventually


def ready(namespace, name: str = "chat") -> int:
    return namespace.apps.read_namespaced_deployment(name, namespace.name).status.ready_replicas or 0


def test_it_is_the_version_that_was_asked_for(administrator):
    assert client.VersionApi(administrator).get_code().git_version == kubernetes_version()


def test_a_model_is_ready_once_its_cold_start_is_over(namespace, gpu_nodes):
    gpu_nodes(1, 8)
    chat = deployment("chat", pool=namespace.name, replicas=2, gpus=4, annotations={READY_AFTER: "4s"})
    namespace.apps.create_namespaced_deployment(namespace.name, chat)
    eventually(lambda: [pod.status.phase for pod in namespace.pods()], lambda seen: seen == ["Running"] * 2)
    assert ready(namespace) == 0
    eventually(lambda: ready(namespace), lambda seen: seen == 2)
    for pod in namespace.pods():
        became = next(each for each in pod.status.conditions if each.type == "Ready").last_transition_time
        assert 4 <= (became - pod.status.start_time).total_seconds() <= 20


def test_without_a_free_gpu_a_pod_is_pending_and_says_why(namespace, gpu_nodes):
    gpu_nodes(1, 8)
    chat = deployment("chat", pool=namespace.name, replicas=3, gpus=4)
    namespace.apps.create_namespaced_deployment(namespace.name, chat)
    eventually(lambda: ready(namespace), lambda seen: seen == 2)
    (pending,) = [pod for pod in namespace.pods() if pod.status.phase == "Pending"]
    (scheduled,) = [each for each in pending.status.conditions if each.type == "PodScheduled"]
    assert scheduled.reason == "Unschedulable"
    assert "1 Insufficient nvidia.com/gpu" in scheduled.message
    gpu_nodes(1, 4)
    eventually(lambda: ready(namespace), lambda seen: seen == 3)


def test_pods_loop_in_crashes_while_they_are_told_to(namespace, gpu_nodes):
    gpu_nodes(1, 8)
    broken = deployment("chat", pool=namespace.name, annotations={CRASH_LOOPING: "yes"})
    namespace.apps.create_namespaced_deployment(namespace.name, broken)

    def state():
        return [pod.status.container_statuses[0].state for pod in namespace.pods() if pod.status.container_statuses]

    (seen,) = eventually(state)
    assert seen.waiting.reason == "CrashLoopBackOff"
    (pod,) = namespace.pods()
    assert pod.status.container_statuses[0].restart_count == 3
    namespace.core.patch_namespaced_pod(
        pod.metadata.name, namespace.name, {"metadata": {"annotations": {CRASH_LOOPING: None}}}
    )
    eventually(lambda: ready(namespace), lambda seen: seen == 1)
    namespace.core.patch_namespaced_pod(
        pod.metadata.name, namespace.name, {"metadata": {"annotations": {CRASH_LOOPING: "yes"}}}
    )
    eventually(lambda: ready(namespace), lambda seen: seen == 0)
    assert state()[0].waiting.reason == "CrashLoopBackOff"


def test_a_raised_minimum_counts_although_the_hpa_cannot_read_its_metric(namespace, gpu_nodes):
    gpu_nodes(1, 8)
    namespace.apps.create_namespaced_deployment(namespace.name, deployment("chat", pool=namespace.name))
    namespace.autoscaling.create_namespaced_horizontal_pod_autoscaler(
        namespace.name, autoscaler("chat", least=1, most=5)
    )

    def active():
        hpa = namespace.autoscaling.read_namespaced_horizontal_pod_autoscaler("chat", namespace.name)
        return {each.type: (each.status, each.reason) for each in hpa.status.conditions or []}.get("ScalingActive")

    eventually(active, lambda seen: seen == ("False", "FailedGetResourceMetric"))
    namespace.autoscaling.patch_namespaced_horizontal_pod_autoscaler(
        "chat", namespace.name, {"spec": {"minReplicas": 4}}
    )
    eventually(lambda: ready(namespace), lambda seen: seen == 4)
    namespace.autoscaling.patch_namespaced_horizontal_pod_autoscaler(
        "chat", namespace.name, {"spec": {"minReplicas": 1, "maxReplicas": 2}}
    )
    eventually(lambda: ready(namespace), lambda seen: seen == 2)
    assert active() == ("False", "FailedGetResourceMetric")


def test_a_frozen_api_server_answers_nobody_and_then_goes_on(control_plane, namespace):
    with control_plane.frozen("kube-apiserver"):
        began = time.monotonic()
        with pytest.raises(HTTPError):
            namespace.core.read_namespace(namespace.name, _request_timeout=1)
        assert time.monotonic() - began >= 1
    assert eventually(lambda: namespace.core.read_namespace(namespace.name).metadata.name) == namespace.name


def test_a_killed_component_comes_back_with_what_it_knew(control_plane, namespace):
    before = control_plane.pid("kube-apiserver")
    with control_plane.without("kube-apiserver"), pytest.raises(HTTPError):
        namespace.core.read_namespace(namespace.name, _request_timeout=1)
    assert control_plane.pid("kube-apiserver") != before
    assert namespace.core.read_namespace(namespace.name).metadata.name == namespace.name


def test_who_has_no_right_is_refused_by_name(control_plane, namespace):
    namespace.core.create_namespaced_service_account(namespace.name, {"metadata": {"name": "nobody"}})
    token = namespace.core.create_namespaced_service_account_token("nobody", namespace.name, {"spec": {}}).status.token
    settings = client.Configuration()
    config.load_kube_config(str(control_plane.kubeconfig), client_configuration=settings)
    settings.cert_file = settings.key_file = None
    settings.api_key = {"authorization": f"Bearer {token}"}
    with client.ApiClient(settings) as nobody, pytest.raises(ApiException) as refused:
        client.AppsV1Api(nobody).list_namespaced_deployment(namespace.name)
    assert refused.value.status == 403
    said = json.loads(refused.value.body)["message"]
    assert f'User "system:serviceaccount:{namespace.name}:nobody" cannot list resource "deployments"' in said


TESTS_THAT_ARE_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.cluster.control_plane import running_control_plane
with running_control_plane(Path(sys.argv[1])) as started:
    print("started", flush=True)
    os.kill(started.pid("etcd"), signal.SIGSTOP)
    input()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=lambda end: end.name)
def test_nothing_outlives_the_tests(tmp_path: Path, end: signal.Signals):
    """A second control plane beside the first; its tests end in the middle, with a component frozen."""
    with subprocess.Popen(
        [sys.executable, "-c", TESTS_THAT_ARE_KILLED, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as tests:  # fmt: skip
        assert tests.stdout.readline() == b"started\n"
        assert len(control_plane_keeper.processes(tmp_path)) == len(control_plane_keeper.COMPONENTS)
        os.kill(tests.pid, end)
    eventually(lambda: control_plane_keeper.processes(tmp_path), lambda left: left == [])
    logs = {path.stem for path in (tmp_path / "clusters" / "tests" / "logs").glob("*.log")}
    assert logs >= {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
