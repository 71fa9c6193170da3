"""The custom resources on a real API server: served, defaulted, shown; wrong objects refused in words."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from controller.capacity_policy import PolicySpec, parse_policy
from controller.invalid_policy import InvalidPolicy, policy_or_why_not
from controller.policy_status import status_of
from planner.profile import CATALOGUE, Spec, catalogue_names
from tests.cluster.installation import DEPLOY
from tests.controller.test_policy_status import DECISION
from tests.deploy.wrong_objects import ONLY_THE_SERVER_TELLS, POLICY, PROFILE, WRONG

PLURALS = {"CapacityPolicy": "capacitypolicies", "EngineProfile": "engineprofiles"}


pytestmark = pytest.mark.usefixtures("installed")


def create(administrator, document: dict[str, Any], *, namespace: str = "default", dry_run: bool = True) -> Any:
    document = {**document, "metadata": {"name": document["metadata"]["name"]}}
    return client.CustomObjectsApi(administrator).create_namespaced_custom_object(
        "replicast.dev", "v1alpha1", namespace, PLURALS[document["kind"]], document,
        field_validation="Strict", **({"dry_run": "All"} if dry_run else {}),
    )  # fmt: skip


def refusal(administrator, document: dict[str, Any]) -> str:
    with pytest.raises(ApiException) as refused:
        create(administrator, document)
    assert refused.value.status in (400, 422)
    return str(json.loads(refused.value.body)["message"])


@pytest.mark.parametrize("wrong", [*WRONG, *ONLY_THE_SERVER_TELLS], ids=lambda wrong: wrong.name)
def test_a_wrong_object_is_refused_in_words(administrator, wrong):
    assert wrong.said in refusal(administrator, wrong.document)


def test_a_misspelt_field_is_named(administrator):
    document = {**POLICY, "spec": {**POLICY["spec"], "objective": ["ttft:p99<=1s"]}}
    assert 'unknown field "spec.objective"' in refusal(administrator, document)


@pytest.mark.parametrize(("base", "model"), [(POLICY, PolicySpec), (PROFILE, Spec)], ids=["policy", "profile"])
def test_the_server_fills_in_the_defaults_of_the_code(administrator, base, model):
    made = create(administrator, base)["spec"]
    assert made == model.model_validate(base["spec"]).model_dump(mode="json", by_alias=True, exclude_none=True)


def test_what_is_null_is_absent(administrator):
    document = {**POLICY, "spec": {**POLICY["spec"], "hpaRef": None, "paused": None}}
    made = create(administrator, document)["spec"]
    assert "hpaRef" not in made
    assert made["paused"] is False


@pytest.mark.parametrize("horizon", ["coldStart", 0, 7200])
def test_a_horizon_is_a_word_or_a_number(administrator, horizon):
    document = {**POLICY, "spec": {**POLICY["spec"], "behavior": {"forecast": {"horizon": horizon}}}}
    assert create(administrator, document)["spec"]["behavior"]["forecast"]["horizon"] == horizon


def test_every_profile_of_the_catalogue_is_accepted(administrator):
    for name in catalogue_names():
        # Profiles name their date as YAML has it, which JSON has as text.
        document = json.loads(json.dumps(yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text()), default=str))
        create(administrator, document)


def test_a_policy_is_listed_with_what_was_decided(control_plane, administrator, namespace):
    create(administrator, POLICY, namespace=namespace.name, dry_run=False)
    patch_status(administrator, namespace.name, status_of(DECISION))
    head, row = control_plane.kubectl("-n", namespace.name, "get", "cpol").splitlines()
    assert head.split() == ["NAME", "TARGET", "MODE", "CURRENT", "DESIRED", "DEMAND", "BINDING", "STATE", "AGE"]
    assert row.split()[:-1] == ["chat", "chat", "Advise", "2", "3", "60", "ttft:p99<=500ms", "Ready"]
    (told,) = json.loads(control_plane.kubectl("-n", namespace.name, "get", "cpol", "-o", "json"))["items"]
    assert told["status"]["reasons"][0]["code"] == "Paced"
    assert "inputTokens" in told["status"]["demand"]


def test_a_policy_that_cannot_be_understood_is_listed_as_such(control_plane, administrator, namespace):
    bounds = {"max": 8, "schedules": [{"name": "n", "start": "08:00", "end": "18:00", "timeZone": "Mars/Olympus"}]}
    made = create(
        administrator, {**POLICY, "spec": {**POLICY["spec"], "bounds": bounds}}, namespace=namespace.name, dry_run=False
    )
    understood = policy_or_why_not(made)
    assert isinstance(understood, InvalidPolicy)
    patch_status(administrator, namespace.name, status_of(understood.decision(0.0)))
    _, row = control_plane.kubectl("-n", namespace.name, "get", "cpol").splitlines()
    assert row.split()[:-1] == ["chat", "chat", "Advise", "InvalidPolicy"]


@pytest.mark.parametrize(
    "objective",
    ["ttft:p0.1<=1us", "E2E : P99.9 ≤ 1e6s", "itl:mean<1d12h", "e2e:p099<= .5 min", "ttft:p50<=1e-3", "queue:p1<=11d"],
)
def test_an_objective_at_the_edge_is_taken(administrator, objective):
    create(administrator, {**POLICY, "spec": {**POLICY["spec"], "objectives": [objective]}})


def test_a_status_leaves_nothing_of_the_one_before(administrator, namespace):
    create(administrator, POLICY, namespace=namespace.name, dry_run=False)
    first = patch_status(administrator, namespace.name, status_of(DECISION))
    blind = replace(DECISION, needed=None, desired=None, demand=None, binding="", predicted=(), one_fewer=())
    second = patch_status(administrator, namespace.name, status_of(blind))
    assert first["status"]["desiredReplicas"] == 3
    assert not {"desiredReplicas", "neededReplicas", "demand", "binding"} & set(second["status"])
    assert second["status"]["predicted"] == []
    assert second["status"]["currentReplicas"] == 2


def test_through_the_status_nothing_else_is_changed(administrator, namespace):
    before = create(administrator, POLICY, namespace=namespace.name, dry_run=False)
    after = patch_status(administrator, namespace.name, status_of(DECISION), spec={"mode": "Enforce"})
    assert after["spec"]["mode"] == "Advise"
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert parse_policy(after).spec == parse_policy(POLICY).spec


def patch_status(administrator, namespace: str, status: dict[str, Any], **more: Any) -> Any:
    return client.CustomObjectsApi(administrator).patch_namespaced_custom_object_status(
        "replicast.dev", "v1alpha1", namespace, "capacitypolicies", "chat", {"status": status, **more},
        _content_type="application/merge-patch+json",
    )  # fmt: skip


def test_kubectl_explains_a_field(control_plane):
    told = " ".join(control_plane.kubectl("explain", "capacitypolicy.spec.bounds.maxGPUs").split())
    assert "Most GPUs of all replicas together." in told


@pytest.mark.parametrize("sample", ["vllm", "triton"])
def test_a_sample_is_applied(control_plane, namespace, sample):
    control_plane.kubectl("-n", namespace.name, "apply", "--server-side", "-k", str(DEPLOY / "samples" / sample))
    kinds = "deployments,services,horizontalpodautoscalers,engineprofiles,capacitypolicies"
    found = json.loads(control_plane.kubectl("-n", namespace.name, "get", kinds, "-o", "json"))["items"]
    assert sorted(each["kind"] for each in found) == [
        "CapacityPolicy", "Deployment", "EngineProfile", "HorizontalPodAutoscaler", "Service",
    ]  # fmt: skip


def test_the_controller_s_own_pods_pass_the_restricted_standard(control_plane):
    said = control_plane.kubectl(
        "-n",
        "replicast-system",
        "get",
        "replicasets,pods",
        "-l",
        "app.kubernetes.io/component=controller",
        "-o",
        "json",
    )
    kinds = [each["kind"] for each in json.loads(said)["items"]]
    assert kinds.count("Pod") == 2  # the namespace enforces it: others would not have been admitted


def test_decision_logs_are_kept_on_a_volume_where_the_component_is_named(control_plane, tmp_path):
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    with (tmp_path / "deploy" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("components:\n- components/kept-decisions\n")
    text = control_plane.kubectl("kustomize", str(tmp_path / "deploy"))
    (deployed,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
    volumes = {each["name"]: each for each in deployed["spec"]["template"]["spec"]["volumes"]}
    assert volumes["decisions"] == {"name": "decisions", "persistentVolumeClaim": {"claimName": "replicast-decisions"}}
    said = control_plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", text=text
    )
    assert "persistentvolumeclaim/replicast-decisions serverside-applied (server dry run)" in said
