"""What `kubectl apply -k deploy` installs: complete, hardened, and in step with the command and the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import planner
from controller.capacity_policy import parse_policy
from controller.cluster_view import KINDS
from controller.permissions import EVERYWHERE, LEASE, OWN_NAMESPACE
from controller.snapshots import profile_of
from planner.cli.controller import run
from planner.cli.report import report
from planner.fleet_file import read_fleet_file
from planner.price_book import load_prices
from planner.profile import load_profile

DEPLOY = Path(__file__).parents[2] / "deploy"
SAMPLES = [DEPLOY / "samples/vllm", DEPLOY / "samples/triton"]
FOLDERS = [DEPLOY, DEPLOY / "components/kept-decisions", *SAMPLES, DEPLOY / "samples/report"]


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def the(file: str, kind: str) -> dict[str, Any]:
    (found,) = [each for each in documents(DEPLOY / file) if each["kind"] == kind]
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_kustomization_lists_every_file(folder):
    listed = documents(folder / "kustomization.yaml")[0]["resources"]
    there = {str(file.relative_to(folder)) for file in folder.rglob("*.yaml")}
    others = {name for name in there if name.startswith(("samples/", "components/", "namespaced/"))}
    assert sorted(listed) == sorted(there - others - {"kustomization.yaml"})


def test_the_image_is_of_this_version():
    (image,) = the("kustomization.yaml", "Kustomization")["images"]
    assert image == {"name": "replicast-controller", "newTag": planner.__version__}


def test_no_file_names_a_registry():
    for file in [*DEPLOY.rglob("*.yaml"), *(DEPLOY / "image").iterdir()]:
        text = file.read_text(encoding="utf-8")
        for image in re.findall(r"^\s*(?:image: |FROM |ARG PYTHON=)(\S+)", text, re.MULTILINE):
            assert "." not in image.partition("/")[0] or "/" not in image, f"{file}: {image}"


def test_the_pods_may_do_nothing_but_run():
    pod = the("deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "PYTHONSAFEPATH", "value": "1"} in container["env"]
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


def test_its_arguments_are_the_command_s():
    (container,) = the("deployment.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["controller", "run"]
    options = run.make_context("run", list(container["args"][2:])).params
    assert options["leader_elect"]
    assert options["lease_namespace"] == the("namespace.yaml", "Namespace")["metadata"]["name"]
    written = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert str(options["decision_log"].parent) in written
    port = container["ports"][0]
    assert options["listen"] == f"0.0.0.0:{port['containerPort']}"
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "startup")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


def test_one_replica_stays_while_nodes_are_drained():
    deployment, budget = the("deployment.yaml", "Deployment"), the("poddisruptionbudget.yaml", "PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    assert the("service.yaml", "Service")["spec"]["selector"] == labels


def test_the_account_that_is_bound_is_the_pods_own():
    account = the("serviceaccount.yaml", "ServiceAccount")["metadata"]
    assert the("deployment.yaml", "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        assert the("rbac.yaml", kind)["subjects"] == [subject]


def test_nothing_is_allowed_that_the_code_does_not_state():
    for kind, stated in (("ClusterRole", EVERYWHERE), ("Role", OWN_NAMESPACE)):
        assert the("rbac.yaml", kind)["rules"] == [
            {
                "apiGroups": [each.group],
                "resources": list(each.resources),
                "verbs": list(each.verbs),
                **({"resourceNames": list(each.names)} if each.names else {}),
            }
            for each in stated
        ]
    allowed = {(resource, verb) for each in EVERYWHERE for resource in each.resources for verb in each.verbs}
    assert not [resource for resource, _ in allowed if resource in ("*", "secrets", "configmaps", "nodes")]
    assert {resource for resource, verb in allowed if verb == "patch"} == {
        "capacitypolicies/status", "deployments/scale", "statefulsets/scale", "leaderworkersets/scale",
        "horizontalpodautoscalers", "scaledobjects", "events",
    }  # fmt: skip
    assert {resource for resource, verb in allowed if verb == "create"} == {"events"}
    assert OWN_NAMESPACE[1].names == (LEASE,)


def test_every_kind_of_target_can_be_seen_and_scaled():
    allowed = {
        (each.group, resource, verb) for each in EVERYWHERE for resource in each.resources for verb in each.verbs
    }
    for place in KINDS.values():
        version, plural = place.split()
        group = version.partition("/")[0]
        assert {(group, plural, "list"), (group, plural, "watch"), (group, f"{plural}/scale", "patch")} <= allowed


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda folder: folder.name)
def test_a_sample_fits_together(sample):
    (deployment,), (service,), (hpa,), (profile,), (policy_document,) = (
        documents(sample / f"{name}.yaml")
        for name in ("deployment", "service", "hpa", "engineprofile", "capacitypolicy")
    )
    policy_document["metadata"]["namespace"] = profile["metadata"]["namespace"] = "serving"
    policy = parse_policy(policy_document).spec
    known = profile_of(profile)
    assert known.problem == ""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    assert policy.target_ref.model_dump(by_alias=True) == hpa["spec"]["scaleTargetRef"] == target
    assert policy.hpa_ref is not None
    assert policy.hpa_ref.name == hpa["metadata"]["name"]
    assert policy.profile_ref.name == profile["metadata"]["name"]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (policy.bounds.min, policy.bounds.max)
    pods = deployment["spec"]["template"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == pods["metadata"]["labels"]
    (container,) = pods["spec"]["containers"]
    assert known.capacity is not None
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == known.capacity.gpus_per_replica
    assert policy.mode == "Advise"


def test_the_vllm_sample_runs_with_the_limits_of_its_profile():
    sample = DEPLOY / "samples/vllm"
    (deployment,) = documents(sample / "deployment.yaml")
    profile = load_profile(str(sample / "engineprofile.yaml"))
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--max-num-seqs={profile.spec.limits.max_num_seqs}" in arguments
    assert f"--max-num-batched-tokens={profile.spec.limits.max_num_batched_tokens}" in arguments
    assert f"--model={profile.spec.model}" in arguments
    assert profile.spec.step_time == load_profile(profile.name).spec.step_time


def test_the_report_s_job_runs_the_command_on_files_that_it_reads(tmp_path):
    found = {each["kind"]: each for each in documents(DEPLOY / "samples/report/cronjob.yaml")}
    (container,) = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    text = container["args"][0].partition("exec planner report ")[2].replace("\\\n", " ")
    words = shlex.split(text.replace("$period", "2026-10").replace("/reports/", f"{tmp_path}/"))
    options = report.make_context("report", words).params
    assert {path.suffix for path in options["outputs"]} == {".xlsx", ".html", ".csv"}
    for name, text in found["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_fleet_file(tmp_path / "fleet.yaml").by_name["chat"].history[0].gpus == {"namespace": "serving"}
    assert load_prices(tmp_path / "prices.yaml").rows


def test_the_image_is_built_from_what_the_wheel_needs():
    dockerfile = (DEPLOY / "image/Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    assert copied == {"pyproject.toml", "README.md", "LICENSE", "models", "planner", "controller"}
    kept = set((DEPLOY / "image/Dockerfile.dockerignore").read_text(encoding="utf-8").split())
    assert {f"!{name}" for name in copied} <= kept
    assert re.search(r"^USER 65532", dockerfile, re.MULTILINE)
    assert "PYTHONSAFEPATH=1" in dockerfile
