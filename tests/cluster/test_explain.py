"""`planner explain` on a real API server, with a user's kubeconfig: what is told, and what stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from controller import policy_in_cluster
from controller.kubernetes_api import Kubernetes
from models.errors import InvalidInput
from tests.cluster.serving import apply_ours, engine_profile, model, policy, serving
from tests.cluster.waiting import eventually

ROOT = Path(__file__).parents[2]
CALL = "import sys; from planner.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def definitions(control_plane):
    apply_ours(control_plane)


@pytest.fixture
def chat(control_plane, definitions, namespace, gpu_nodes):
    gpu_nodes(1, 8)
    with serving(control_plane, namespace.name) as found:
        found.apply(model(namespace.name), engine_profile(), policy(mode="Advise"))
        caches = found.controller.caches
        eventually(lambda: caches.policies.objects() and caches.profiles.objects() and caches.problems() == {})
        key = (namespace.name, "chat")
        eventually(lambda: caches.view().workloads["Deployment"].get(key) and caches.view().pods[namespace.name])
        eventually(lambda: caches.view().workloads["Deployment"][key].ready == 1)
        yield found


def explain(home: Path, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """As somebody with this kubeconfig as their default, and nothing else at home."""
    environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(kubeconfig or home / ".kube" / "config")}
    return subprocess.run(
        [sys.executable, "-c", CALL, "explain", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_last_decision_is_told_from_status_and_events(chat, control_plane, tmp_path):
    nothing = explain(tmp_path, f"{chat.namespace}/chat", kubeconfig=control_plane.kubeconfig)
    assert nothing.returncode == 1
    assert f"{chat.namespace}/chat: nothing has been decided on it yet." in nothing.stdout

    chat.rate_per_s = 160.0
    chat.tick()
    chat.kubectl("delete", "engineprofile", "--all")
    eventually(lambda: not chat.controller.caches.profiles.objects())
    chat.tick()
    chat.apply(engine_profile())
    eventually(chat.controller.caches.profiles.objects)
    chat.tick()
    told = explain(tmp_path, "chat", "--namespace", chat.namespace, kubeconfig=control_plane.kubeconfig)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    for words in (
        f"{chat.namespace}/chat, 2027-01-15 08:00:45 UTC\n",
        "160 requests/s of 512 tokens in and 128 out arrive.",
        "1 replica is asked for, 1 is ready, 4 are needed by ",
        "Mode is Advise, so nothing is written; it would be from 1 to 2.",
        "the scale-up policy allows 2 now (Paced)",
        "ScalingActive is False since 2027-01-15T08:00:15Z: spec.mode is Advise: nothing is written (AdviseOnly)",
        "Recent events:",
        "is not there (ProfileMissing)",
        "It does not hold what was seen and remembered",
    ):
        assert words in told.stdout, told.stdout

    chat.apply(policy(mode="Advise", bounds={"min": 1, "max": 9}))
    again = explain(tmp_path, "chat", "--namespace", chat.namespace, "--kubeconfig", str(control_plane.kubeconfig))
    assert "The policy was changed since: this is of generation 1, and it is at 2." in again.stdout


def test_a_policy_that_is_not_there_is_told_with_those_that_are(chat, control_plane, tmp_path):
    done = explain(tmp_path, f"{chat.namespace}/chatt", kubeconfig=control_plane.kubeconfig)
    assert done.returncode == 2
    assert f"there is no CapacityPolicy {chat.namespace}/chatt" in done.stderr
    assert f"there are: {chat.namespace}/chat" in done.stderr
    done = explain(tmp_path, "chatt", kubeconfig=control_plane.kubeconfig)  # the context names no namespace
    assert "there is no CapacityPolicy default/chatt" in done.stderr


def test_a_cluster_without_the_custom_resources_says_so(control_plane, monkeypatch):
    monkeypatch.setattr(policy_in_cluster, "POLICIES", "replicast.dev/v1beta9 capacitypolicies")
    with pytest.raises(InvalidInput, match="custom resources are not installed") as told:
        policy_in_cluster.read_policy(Kubernetes.connect(control_plane.kubeconfig), "default", "chat")
    assert "kubectl apply -f deploy/crds" in told.value.remedy


def test_who_may_not_read_is_told_what_to_ask_for(chat, control_plane, namespace, tmp_path):
    namespace.core.create_namespaced_service_account(namespace.name, {"metadata": {"name": "nobody"}})
    token = namespace.core.create_namespaced_service_account_token("nobody", namespace.name, {"spec": {}}).status.token
    mine = yaml.safe_load(control_plane.kubeconfig.read_text(encoding="utf-8"))
    mine["users"] = [{"name": each["name"], "user": {"token": token}} for each in mine["users"]]
    (tmp_path / "nobody").write_text(yaml.safe_dump(mine), encoding="utf-8")
    done = explain(tmp_path, f"{chat.namespace}/chat", "--kubeconfig", str(tmp_path / "nobody"))
    assert done.returncode == 2
    assert 'cannot get resource "capacitypolicies" in API group "replicast.dev"' in done.stderr
    assert f"ask for get on capacitypolicies.replicast.dev and list on events in {chat.namespace}" in done.stderr


@pytest.mark.parametrize("name", ["serving/", "/chat", "a/b/c", "../../x", "Chat?watch=true", ""])
def test_what_is_no_name_is_not_asked_for(tmp_path, name):
    with pytest.raises(InvalidInput, match=r"no name in Kubernetes|names no policy") as told:
        policy_in_cluster.policy_in_cluster(name, kubeconfig=tmp_path / "none")
    assert told.value.remedy == "give NAMESPACE/POLICY, such as serving/chat"


NOWHERE = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: me}}]
clusters: [{name: away, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
"""


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, (), "no usable Kubernetes configuration"),
        ("just text", (), "is no kubeconfig"),
        ("a: [", (), "is no kubeconfig"),
        ("{}", (), "no usable Kubernetes configuration"),
        (NOWHERE, (), "the cluster cannot be reached"),
        (NOWHERE, ("--context", "home"), "no usable Kubernetes configuration"),
        (NOWHERE, ("--namespace", "other"), "--namespace says other"),
        (NOWHERE, ("--replay",), "give --decision-log"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_told_without_a_trace(tmp_path, content, arguments, words):
    if content is not None:
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube" / "config").write_text(content, encoding="utf-8")
    done = explain(tmp_path, "serving/chat", *arguments)
    assert done.returncode == 2
    assert words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "--decision-log" in done.stderr or "--namespace" in done.stderr
