"""Where the controller meets an API server that is down, slow, full, forgetful or forbids; a real one throughout."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from controller import kubernetes_api, status_teller
from controller.decision_log import DecisionLog, read_entries, replayed
from controller.kubernetes_api import Kubernetes
from controller.leader import LeaderElection
from controller.permissions import EVERYWHERE
from controller.reasons import Code
from tests.cluster.faulty_proxy import GONE, Fault, faulty_proxy
from tests.cluster.serving import apply_ours, engine_profile, model, policy, serving
from tests.cluster.test_leader import QUICK
from tests.cluster.waiting import eventually
from tests.controller.world import codes, condition

ROOT = Path(__file__).parents[2]
SCALE = "PATCH .*/deployments/chat/scale"
MISSING = {Code.TARGET_MISSING, Code.SCALER_MISSING, Code.PROFILE_MISSING}


@pytest.fixture(scope="module")
def definitions(control_plane):
    apply_ours(control_plane)


@pytest.fixture
def place(control_plane, definitions, namespace, gpu_nodes):
    """Serve one replica of a model, with room for eight, through any way to the API server."""
    gpu_nodes(1, 8)

    @contextmanager
    def through(api: Kubernetes | None = None, **settings):
        with serving(control_plane, namespace.name, api=api, **settings) as found:
            found.apply(model(namespace.name), engine_profile(), policy())
            knows(found, problems=settings.get("late", 0))
            yield found

    return through


def knows(chat, problems: int = 0):
    caches = chat.controller.caches
    eventually(caches.policies.objects)
    eventually(lambda: len(caches.problems()) == problems)
    if "EngineProfile" not in caches.problems():
        eventually(caches.profiles.objects)
    if "Deployment" not in caches.problems():
        eventually(lambda: deployment_seen(chat).ready >= 1)


def deployment_seen(chat, name: str = "chat"):
    return eventually(lambda: chat.controller.caches.view().workloads["Deployment"].get((chat.namespace, name)))


def refusal(chat) -> dict[str, str]:
    conditions = chat.get("capacitypolicy")["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "ScalingActive")


# An API server that is not itself


def test_watches_that_break_in_the_middle_go_on_where_they_were(administrator, place):
    with faulty_proxy(administrator) as proxy, place(proxy.api()) as chat:
        lists = proxy.count("GET .*deployments.*limit=")
        proxy.cut()
        chat.kubectl("scale", "deployment/chat", "--replicas=3")
        eventually(lambda: deployment_seen(chat).replicas == 3)
        eventually(lambda: chat.controller.caches.problems() == {})
        assert proxy.count("GET .*deployments.*limit=") == lists  # nothing was listed again


def test_a_version_that_the_server_forgot_is_a_new_list(administrator, place):
    with faulty_proxy(administrator) as proxy, place(proxy.api()) as chat:
        lists = proxy.count("GET .*deployments.*limit=")
        proxy.faults = [Fault(matches="deployments.*watch=true", watch_error=GONE, times=1)]
        proxy.cut()
        eventually(lambda: proxy.count("GET .*deployments.*limit=") > lists)
        chat.kubectl("scale", "deployment/chat", "--replicas=2")
        eventually(lambda: deployment_seen(chat).replicas == 2)


@pytest.mark.parametrize("status", [409, 422, 429, 500])
def test_a_write_that_is_refused_is_told_and_made_at_the_next_tick(administrator, place, status):
    with faulty_proxy(administrator) as proxy, place(proxy.api()) as chat:
        proxy.faults = [Fault(matches=SCALE, status=status, times=1)]
        chat.rate_per_s = 160.0
        chat.tick()
        assert chat.replicas() == 1
        assert refusal(chat)["reason"] == Code.WRITE_REFUSED
        assert f"{status} Faulty: the proxy says so" in refusal(chat)["message"]
        chat.tick()
        assert (chat.replicas(), refusal(chat)["status"]) == (2, "True")
        assert proxy.count(SCALE) == 2


def test_an_answer_that_comes_too_late_makes_no_second_write_and_no_rival(administrator, place, monkeypatch):
    with faulty_proxy(administrator) as proxy, place(proxy.api()) as chat:
        monkeypatch.setattr(kubernetes_api, "CONNECT_S", 1.0)
        monkeypatch.setattr(kubernetes_api.Kubernetes._send, "__kwdefaults__", {"read_s": 0.7})
        proxy.faults = [Fault(matches=SCALE, after_s=1.5, times=1)]
        chat.rate_per_s = 160.0
        chat.tick()
        assert "cannot be reached" in refusal(chat)["message"]
        eventually(lambda: deployment_seen(chat).replicas == 2)
        decision = chat.decision(chat.tick())
        assert condition(decision, "NoRivalWriter")[0] == "True"
        assert (chat.replicas(), proxy.count(SCALE)) == (2, 1)


def test_an_api_server_that_is_down_is_told_and_all_goes_on_when_it_is_back(control_plane, place):
    with place() as chat:
        chat.tick()
        chat.rate_per_s = 160.0
        with control_plane.without("kube-apiserver"):
            eventually(chat.controller.caches.problems)
            decision = chat.decision(chat.tick())
            assert decision.write is None
            assert codes(decision) & MISSING == set()
            assert condition(decision, "Ready")[:2] == ("False", Code.CLUSTER_UNREADABLE)
            assert "the API server cannot be reached" in condition(decision, "Ready")[2]
        eventually(lambda: chat.controller.caches.problems() == {}, within_s=60.0)
        chat.tick()
        assert chat.replicas() == 2


# What is forbidden


@pytest.fixture
def forbidden(administrator, namespace):
    """A user who may do what the controller may, but for one verb."""

    def without(resource: str, verb: str) -> Kubernetes:
        rules = [
            {
                "apiGroups": [each.group],
                "resources": [name],
                "verbs": [v for v in each.verbs if (name, v) != (resource, verb)],
            }
            for each in EVERYWHERE
            for name in each.resources
        ]
        user, space = f"lacking-{verb}", namespace.name
        roles = client.RbacAuthorizationV1Api(administrator)
        roles.create_namespaced_role(space, {"metadata": {"name": user}, "rules": [r for r in rules if r["verbs"]]})
        subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        ref = {"kind": "Role", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        roles.create_namespaced_role_binding(space, {"metadata": {"name": user}, "subjects": [subject], "roleRef": ref})
        return Kubernetes(client.ApiClient(administrator.configuration, "Impersonate-User", user))

    return without


def test_a_verb_that_is_missing_for_a_write_is_named_in_the_status(place, forbidden):
    with place(forbidden("deployments/scale", "patch")) as chat:
        chat.rate_per_s = 160.0
        chat.tick()
        assert 'cannot patch resource "deployments/scale" in API group "apps"' in refusal(chat)["message"]
        before = chat.get("capacitypolicy")["metadata"]["resourceVersion"]
        chat.tick()
        chat.tick()
        assert chat.get("capacitypolicy")["metadata"]["resourceVersion"] == before  # told once


@pytest.mark.parametrize("resource", ["pods", "horizontalpodautoscalers", "deployments", "engineprofiles"])
def test_a_verb_that_is_missing_for_a_look_is_named_and_nothing_is_written(place, forbidden, resource):
    with place(forbidden(resource, "list"), late=1) as chat:
        chat.rate_per_s = 160.0
        decision = chat.decision(chat.tick())
        assert decision.write is None
        assert codes(decision) & MISSING == set()
        assert condition(decision, "Ready")[:2] == ("False", Code.CLUSTER_UNREADABLE)
        assert f'cannot list resource "{resource}"' in condition(decision, "Ready")[2]
        status = chat.get("capacitypolicy")["status"]
        assert f'cannot list resource "{resource}"' in json.dumps(status["conditions"]).replace("\\", "")


# What the API server lets pass and no decision can rest on


def test_a_policy_that_cannot_be_understood_is_told_of_once_and_no_more_when_it_is_mended(place, caplog):
    schedule = {"name": "day", "start": "09:00", "end": "17:00", "timeZone": "Mars/Olympus", "max": 9}
    with place() as chat:
        chat.tick()
        chat.apply(policy(bounds={"min": 1, "max": 20, "schedules": [schedule]}))
        eventually(lambda: chat.tick().unreadable)
        chat.tick()
        found = chat.get("capacitypolicy")
        told = {each["type"]: each for each in found["status"]["conditions"]}
        assert (told["Ready"]["status"], told["Ready"]["reason"]) == ("False", "InvalidPolicy")
        assert told["Ready"]["observedGeneration"] == found["metadata"]["generation"]
        where = "spec.bounds.schedules.0.timeZone: 'Mars/Olympus' is no time zone"
        assert told["Ready"]["message"].startswith(where)
        assert "kubectl explain" in told["Ready"]["message"]
        assert "desiredReplicas" not in found["status"]
        version = found["metadata"]["resourceVersion"]
        for _ in range(3):
            assert chat.tick().writes == 0
        assert chat.get("capacitypolicy")["metadata"]["resourceVersion"] == version
        assert sum(where in record.getMessage() for record in caplog.records) == 1
        events = json.loads(chat.kubectl("get", "events", "-o", "json"))["items"]
        assert [each["reason"] for each in events if where in each["message"]] == ["InvalidPolicy"]
        chat.apply(policy())
        eventually(lambda: not chat.tick().unreadable)
        told = {each["type"]: each for each in chat.get("capacitypolicy")["status"]["conditions"]}
        assert (told["Ready"]["status"], told["ScalingActive"]["status"]) == ("True", "True")


# Things that happen in the middle


def test_a_policy_that_is_edited_within_a_tick_is_not_acted_on_as_it_was(place):
    with place() as chat:
        chat.rate_per_s = 160.0
        observe = chat.controller.observe

        def edited_meanwhile(asked):
            chat.apply(policy(paused=True))
            eventually(lambda: next(iter(chat.controller.caches.policies.objects().values())).spec.paused)
            return observe(asked)

        chat.controller.observe = edited_meanwhile
        assert chat.decision(chat.tick()).write is not None
        assert chat.replicas() == 1
        chat.controller.observe = observe
        assert Code.PAUSED in codes(chat.decision(chat.tick()))
        assert chat.replicas() == 1


def test_a_leader_killed_within_a_tick_loses_nothing_and_nothing_is_done_twice(control_plane, place):
    with place() as chat:
        second = {**model(chat.namespace), "metadata": {"name": "other"}}
        second["spec"] = json.loads(json.dumps(second["spec"]).replace('"chat"', '"other"'))
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}
        chat.apply(second, policy("other", targetRef=target))
        eventually(lambda: len(chat.controller.caches.policies.objects()) == 2 and deployment_seen(chat, "other").ready)
        call = [sys.executable, "-m", "tests.cluster.killed_leader", str(control_plane.kubeconfig), chat.namespace]
        first = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert first.stdout.readline() == "leads\n"
        election = LeaderElection(
            chat.controller.api, namespace=chat.namespace, name="lease", identity="second", times=QUICK
        )
        chat.controller.leader, chat.rate_per_s = election, 160.0
        election.start()
        try:
            assert chat.tick().writes == 0
            assert first.wait(timeout=30) == -9  # after its first write
            written = {name: chat.get("deployment", name)["spec"]["replicas"] for name in ("chat", "other")}
            assert sorted(written.values()) == [1, 2]
            eventually(election.leads, within_s=20.0)
            eventually(lambda: deployment_seen(chat).replicas == written["chat"])
            chat.tick()
            chat.tick()
            assert [chat.get("deployment", name)["spec"]["replicas"] for name in ("chat", "other")] == [2, 2]
        finally:
            election.stop()
            first.stdout.close()


def test_an_old_leaders_write_that_the_server_is_slow_with_does_not_land_under_the_next(administrator, place):
    """Neither its lease nor its write gets through in time; the next one leads meanwhile, and is alone."""
    with faulty_proxy(administrator) as proxy, place(proxy.api()) as chat:
        direct = Kubernetes(administrator)
        old, new = (
            LeaderElection(api, namespace=chat.namespace, name="lease", identity=identity, times=QUICK)
            for api, identity in ((chat.controller.api, "old"), (direct, "new"))
        )
        old.start()
        eventually(old.leads)
        new.start()
        try:
            chat.controller.leader, chat.rate_per_s = old, 160.0
            proxy.faults = [Fault(matches=f"{SCALE}|leases", before_s=2.0 * QUICK.lease)]
            began_s = time.monotonic()
            assert chat.decision(chat.tick()).write is not None
            assert time.monotonic() - began_s < QUICK.lease
            assert "cannot be reached" in refusal(chat)["message"]
            eventually(new.leads, within_s=3.0 * QUICK.lease)
            assert chat.tick().writes == 0
            eventually(lambda: any("/scale" in each for each in proxy.dropped), within_s=3.0 * QUICK.lease)
            assert (chat.replicas(), new.leads()) == (1, True)
        finally:
            old.stop()
            new.stop()


# Status: what is there counts


def status_seen(chat):
    """What the watch cache has, once it is what the API server has."""
    there = chat.get("capacitypolicy")
    seen = chat.controller.caches.policies
    eventually(lambda: getattr(seen.get((chat.namespace, "chat")), "status", None) == there.get("status", {}))
    return there


def test_the_next_leader_goes_on_with_pause_and_status_that_are_there(place):
    with place() as chat:
        chat.rate_per_s = 160.0
        chat.tick()
        eventually(lambda: deployment_seen(chat).ready == 2)
        chat.kubectl("scale", "deployment/chat", "--replicas=1")
        eventually(lambda: (deployment_seen(chat).ready, deployment_seen(chat).replicas) == (1, 1))
        chat.tick()
        before = status_seen(chat)
        assert "kubectl" in json.dumps(before["status"]["conditions"])
        chat.next_leader()
        assert [chat.tick().writes for _ in range(3)] == [0, 0, 0]
        assert chat.replicas() == 1
        assert chat.get("capacitypolicy")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_status_that_somebody_edits_is_put_right(place, monkeypatch):
    monkeypatch.setattr(status_teller, "WATCH_LAG_S", 0.0)
    with place() as chat:
        chat.tick()
        right = status_seen(chat)["status"]
        edit = json.dumps({"status": {"desiredReplicas": 99, "conditions": []}})
        chat.kubectl("patch", "capacitypolicy", "chat", "--subresource=status", "--type=merge", "-p", edit)
        status_seen(chat)
        chat.tick()
        after = status_seen(chat)["status"]
        assert (after["desiredReplicas"], after["conditions"]) == (right["desiredReplicas"], right["conditions"])


def test_a_policy_that_is_made_again_is_another(place):
    with place() as chat:
        for _ in range(3):
            chat.tick()
        old = status_seen(chat)["metadata"]["uid"]
        chat.kubectl("delete", "capacitypolicy", "chat")
        chat.apply(policy())
        eventually(lambda: chat.controller.caches.policies.get((chat.namespace, "chat")).metadata.uid != old)
        chat.tick()
        assert status_seen(chat)["status"]["desiredReplicas"] == 1
        assert len(chat.controller.memories[chat.namespace, "chat"].recommended) == 1


# What is recorded


def test_recorded_ticks_replay_to_the_same_decisions(place, tmp_path):
    log = DecisionLog(tmp_path / "decisions.jsonl")
    with place(log=log) as chat:
        for rate in (20.0, 160.0, 400.0, 5.0, 5.0):
            chat.rate_per_s = rate
            chat.tick()
    log.close()
    entries = list(read_entries(tmp_path / "decisions.jsonl"))
    assert any(entry.written for entry, _ in entries)
    assert [replayed(*each) for each in entries] == [entry.decision for entry, _ in entries]


def test_no_secret_is_in_log_status_or_record(control_plane, place, tmp_path):
    token, password = "t0ken-of-prometheus", "hunter2-of-the-url"
    (tmp_path / "token").write_text(token, encoding="utf-8")
    user = yaml.safe_load(control_plane.kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
    key = user.get("client-key-data") or Path(user["client-key"]).read_text(encoding="utf-8").splitlines()[1]
    with place() as chat:
        call = [
            sys.executable, "-c", "import sys; from planner.cli.main import main; sys.exit(main())",
            "controller", "run", "--once", "--kubeconfig", control_plane.kubeconfig, "--namespace", chat.namespace,
            "--lease-namespace", chat.namespace, "--decision-log", tmp_path / "log",
        ]  # fmt: skip
        said = b""
        for prometheus in (
            ["--prometheus", f"http://somebody:{password}@127.0.0.1:1"],
            ["--prometheus", "http://127.0.0.1:1", "--bearer-token-file", tmp_path / "token"],
        ):
            done = subprocess.run([*call, *prometheus], cwd=ROOT, capture_output=True, check=False, timeout=60)
            assert done.returncode == 1, done.stderr
            said += done.stdout + done.stderr
        status = json.dumps(chat.get("capacitypolicy"))
        events = chat.kubectl("get", "events", "-o", "json")
    everything = said.decode() + status + events + (tmp_path / "log").read_text(encoding="utf-8")
    assert "PrometheusUnreachable" in everything
    assert [secret for secret in (token, password, key) if secret in everything] == []
