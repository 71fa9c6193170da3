"""Manifests: golden text, fields that Kubernetes knows, and what a plan must not bring about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planner.cli.main import run
from planner.plan_reader import dns_label
from planner.render import to_yaml
from tests.planner.kubernetes_shape import faults

PLANS = Path(__file__).parent / "plans"
GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("topology", "group", "pack", "pipeline")
EVERYTHING = ["--hpa", "--namespace", "serving", "--gateway-class", "istio"]


def rendered(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["render", *arguments]) == 0
    return capsys.readouterr().out


def by_kind(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    documents = list(yaml.safe_load_all(text))
    found = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    assert len(found) == len(documents), "two objects of one kind have one name"
    return found


def changed(folder: Path, name: str, **parts: Any) -> str:
    document = {**json.loads((PLANS / f"{name}.json").read_text(encoding="utf-8")), **parts}
    path = folder / "plan.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_manifests_are_as_looked_over(capsys, name):
    text = rendered(capsys, str(PLANS / f"{name}.json"), *EVERYTHING)
    assert text == (GOLDEN / f"render-{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [[], EVERYTHING])
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_every_field(capsys, name, options):
    for manifest in by_kind(rendered(capsys, str(PLANS / f"{name}.json"), *options)).values():
        assert faults(manifest) == []


def test_a_wrong_field_would_be_found():
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replica": 3}}
    assert faults(manifest) == ["Deployment.spec.replica is unknown"]


def test_selectors_find_the_pods_and_routes_the_services(capsys):
    for name in NAMES:
        found = by_kind(rendered(capsys, str(PLANS / f"{name}.json")))
        pods = [
            each["spec"]["template"]["metadata"]["labels"] for (kind, _), each in found.items() if kind == "Deployment"
        ]
        for (kind, _), each in found.items():
            if kind == "LeaderWorkerSet":
                template = each["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
                pods.append({**template["metadata"]["labels"], "leaderworkerset.sigs.k8s.io/worker-index": "0"})
        for (kind, _), each in found.items():
            if kind in ("Service", "PodDisruptionBudget"):
                chosen = each["spec"]["selector"]
                chosen = chosen.get("matchLabels", chosen)
                assert any(chosen.items() <= labels.items() for labels in pods)
            if kind == "HTTPRoute":
                for rule in each["spec"]["rules"]:
                    assert ("Service", rule["backendRefs"][0]["name"]) in found


def test_what_a_plan_says_is_in_the_pods(capsys):
    found = by_kind(rendered(capsys, str(PLANS / "topology.json")))
    chat = found["Deployment", "chat"]["spec"]
    pod = chat["template"]["spec"]
    (container,) = pod["containers"]
    assert chat["replicas"] == 3
    assert container["command"] == ["vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct"]
    assert container["image"] == "vllm/vllm-openai:v0.8.0"
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    assert pod["terminationGracePeriodSeconds"] > 90, "longer than the longest answer"
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 360, "twice the measured 95th percentile"
    embed = found["ConfigMap", "embed-repository"]["data"]["embed.pbtxt"]
    for line in ("preferred_batch_size: [ 8, 16 ]", "max_queue_delay_microseconds: 500", "count: 2"):
        assert line in embed


def test_triton_reads_its_configuration(tmp_path, capsys):
    """By Triton's own definitions, as `planner size --model-repository` reads them."""
    from planner.model_repository import read_model

    data = by_kind(rendered(capsys, str(PLANS / "topology.json")))["ConfigMap", "embed-repository"]["data"]
    (tmp_path / "config.pbtxt").write_text(data["embed.pbtxt"], encoding="utf-8")
    model = read_model(tmp_path)
    assert (model.name, model.max_batch_size, model.instances) == ("embed", 32, 2)
    assert (model.preferred_batch_sizes, model.max_queue_delay_s) == ((8, 16), pytest.approx(0.0005))


def test_a_group_of_pods_is_one_replica(capsys):
    found = by_kind(rendered(capsys, str(PLANS / "group.json")))
    spec = found["LeaderWorkerSet", "llama-405b"]["spec"]
    template = spec["leaderWorkerTemplate"]
    assert (spec["replicas"], template["size"]) == (2, 2)
    for role in ("leaderTemplate", "workerTemplate"):
        (container,) = template[role]["spec"]["containers"]
        assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    leader = template["leaderTemplate"]["spec"]["containers"][0]["command"]
    assert leader[leader.index("--tensor-parallel-size") + 1] == "8"
    assert leader[leader.index("--pipeline-parallel-size") + 1] == "2"


def test_a_packing_shares_gpus_as_it_was_placed(capsys):
    found = by_kind(rendered(capsys, str(PLANS / "pack.json")))
    both = found["Deployment", "embed-rerank"]["spec"]
    assert both["replicas"] == 2, "two GPUs hold both models"
    data = found["ConfigMap", "embed-rerank-repository"]["data"]
    assert "count: 2" in data["embed.pbtxt"]
    assert "count: 1" in data["rerank.pbtxt"]
    assert "count: 2" in found["ConfigMap", "rerank-repository"]["data"]["rerank.pbtxt"], "two replicas on one GPU"
    chosen = found["Service", "rerank"]["spec"]["selector"].items()
    pods = {
        name: each["spec"]["template"]["metadata"]["labels"]
        for (kind, name), each in found.items()
        if kind == "Deployment"
    }
    assert {name for name, labels in pods.items() if chosen <= labels.items()} == {"embed-rerank", "rerank"}
    (tiny,) = found["Deployment", "tiny"]["spec"]["template"]["spec"]["containers"]
    assert tiny["resources"] == {"limits": {"nvidia.com/mig-1g.10gb.me": 1}}
    (draft,) = found["Deployment", "draft"]["spec"]["template"]["spec"]["containers"]
    assert draft["resources"] == {"limits": {"nvidia.com/gpu.shared": 1}}
    assert draft["args"][-2:] == ["--gpu-memory-utilization", "0.300"]
    spread = found["Deployment", "chat"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread[0]["topologyKey"] == "kubernetes.io/hostname"


def test_what_size_prints_can_be_rendered(capsys, tmp_path):
    question = ["--qps", "20", "--input-tokens", "512", "--output-tokens", "128", "--slo", "ttft:p99<=500ms"]
    for form in ("json", "yaml"):
        assert run(["size", "--profile", "llama-3.1-8b-a100-vllm", *question, "-o", form]) == 0
        path = tmp_path / f"plan.{form}"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        assert ("Deployment", "llama-3-1-8b-a100-vllm") in by_kind(rendered(capsys, str(path)))


@given(st.text(min_size=1, max_size=300))
def test_every_name_becomes_a_label(name):
    label = dns_label(name)
    assert len(label) <= 50
    assert label.strip("-") == label
    assert label.isascii()
    assert label[0].isalpha()


@given(st.text(max_size=50))
def test_no_text_breaks_out_of_its_place(text):
    document = {"metadata": {"annotations": {"note": text}}, "list": [text, {"x": text}]}
    assert yaml.safe_load(to_yaml([document])) == document


def test_files_are_all_written_or_none(capsys, tmp_path):
    out = tmp_path / "manifests"
    listed = rendered(capsys, str(PLANS / "topology.json"), "-O", str(out)).split()
    assert sorted(path.name for path in out.iterdir()) == ["chat.yaml", "embed.yaml", "gateway.yaml", "rerank.yaml"]
    assert [Path(path).name for path in listed] == ["chat.yaml", "embed.yaml", "rerank.yaml", "gateway.yaml"]
    (out / "chat.yaml").unlink()
    (out / "embed.yaml").write_text("mine", encoding="utf-8")
    assert run(["render", str(PLANS / "topology.json"), "-O", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert not (out / "chat.yaml").exists(), "nothing is written where something would be overwritten"
    assert (out / "embed.yaml").read_text(encoding="utf-8") == "mine"
    rendered(capsys, str(PLANS / "topology.json"), "-O", str(out), "--force")
    assert "mine" not in (out / "embed.yaml").read_text(encoding="utf-8")
    assert len(list(out.iterdir())) == 4, "nothing temporary is left"


def test_a_plan_that_is_none_is_not_rendered(capsys, tmp_path):
    assert run(["render", changed(tmp_path, "topology", feasible=False, reason="too dear")]) == 1
    assert "too dear" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("group", {"replicas": 0}, "replicas"),
        ("group", {"replicas": "two"}, "replicas"),
        ("group", {"serving": None}, "does not say how profile llama-405b is started"),
        ("group", {"serving": {"engine": "magic"}}, "serving"),
        ("group", {"profile": None, "replicas": None, "kind": "Pod"}, "profile"),
        ("topology", {"gateway": {}}, "gateway.name"),
        ("topology", {"routes": []}, "routes"),
        ("pack", {"models": []}, "models"),
        ("pipeline", {"stages": [{"name": "x", "kind": "service"}]}, "stage 'x' of the plan has no profile"),
    ],
)
def test_a_damaged_plan_is_told(capsys, tmp_path, name, parts, said):
    assert run(["render", changed(tmp_path, name, **parts)]) == 2
    assert said in capsys.readouterr().err


def test_an_option_in_a_models_place_is_refused(capsys, tmp_path):
    plan = json.loads((PLANS / "group.json").read_text(encoding="utf-8"))
    serving = {**plan["serving"], "model": "--trust-remote-code"}
    assert run(["render", changed(tmp_path, "group", serving=serving)]) == 2
    assert "would be read as an option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.json"], "does not exist"),
        ([str(PLANS)], "is a folder"),
        ([str(PLANS / "group.json"), "--vllm-image", "a b"], "is no image"),
        ([str(PLANS / "group.json"), "--namespace", "My Space"], "is no name in Kubernetes"),
        ([str(PLANS / "group.json"), "-O", str(PLANS / "group.json")], "is not a folder"),
        ([str(PLANS / "group.json"), "--profile", "nowhere.yaml"], "does not exist"),
        ([str(Path(__file__).parent / "topologies" / "hybrid.yaml")], "is no plan that can be rendered"),
        ([], "PLAN"),
    ],
)
def test_wrong_use_is_told(capsys, arguments, said):
    assert run(["render", *arguments]) == 2
    assert said in capsys.readouterr().err
