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
from planner.kubernetes_names import dns_label
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
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "12Gi"}, "half of 16 GB, and 4 GiB"
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
        assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
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
    assert tiny["resources"]["limits"] == {"nvidia.com/mig-1g.10gb.me": 1}
    (draft,) = found["Deployment", "draft"]["spec"]["template"]["spec"]["containers"]
    assert draft["resources"]["limits"] == {"nvidia.com/gpu.shared": 1}
    assert draft["args"][-2:] == ["--gpu-memory-utilization", "0.2845"], "as the plan has it"
    apart = found["Deployment", "chat"]["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    (term,) = apart["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {"model.replicast.dev/chat": "true"}, "of every server of the model"


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
    assert sorted(path.name for path in out.iterdir()) == [
        "chat.yaml",
        "embed.yaml",
        "gateway.routes.yaml",
        "rerank.yaml",
    ]
    assert [Path(path).name for path in listed] == ["chat.yaml", "embed.yaml", "rerank.yaml", "gateway.routes.yaml"]
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


GPU = {"type": "A100-SXM4-80GB", "perReplica": 1}
VLLM_LIMITS = {"maxNumSeqs": 64, "maxNumBatchedTokens": 2048, "kvBlockSize": 16, "chunkedPrefill": True}


def serving(engine: str, model: str = "meta-llama/Llama-3.1-8B-Instruct", **more: Any) -> dict[str, Any]:
    limits = {"maxBatchSize": 8, "instances": 1} if engine == "triton" else {**VLLM_LIMITS, **more.pop("limits", {})}
    return {"engine": engine, "model": model, "gpu": GPU, "limits": limits, **more}


def model(name: str, engine: str, replicas: int, **more: Any) -> dict[str, Any]:
    known = {"name": name, "profile": "p", "engine": engine, "model": "m", "gpu_type": GPU["type"]}
    shape = {"mode": "time-shared", "replicas": replicas, "serving": serving(engine)}
    return {**known, **shape, **more}


def gpu(*models: str, node: str = "n0", **more: Any) -> dict[str, Any]:
    mode = "time-shared" if len(models) > 1 else "dedicated"
    return {"node": node, "type": GPU["type"], "mode": mode, "replicas": [{"model": each} for each in models], **more}


def written(folder: Path, document: dict[str, Any]) -> str:
    path = folder / "plan.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def pods_of(found: dict[tuple[str, str], dict[str, Any]], name: str) -> int:
    """Pods that serve a model, of all Deployments."""
    label = f"model.replicast.dev/{name}"
    return sum(
        each["spec"]["replicas"]
        for (kind, _), each in found.items()
        if kind == "Deployment" and label in each["spec"]["template"]["metadata"]["labels"]
    )


def container(found: dict[tuple[str, str], dict[str, Any]], name: str) -> dict[str, Any]:
    (only,) = found["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return only


def test_no_server_is_lost_to_its_name(capsys, tmp_path):
    """Services of models and routes are in files that no server can be named after."""
    plan = {
        "placement": [gpu("models", "gateway"), gpu("models"), gpu("models-gateway")],
        "models": [model("models", "triton", 2), model("gateway", "triton", 1), model("models-gateway", "triton", 1)],
    }
    out = tmp_path / "out"
    rendered(capsys, written(tmp_path, plan), "-O", str(out))
    texts = "---\n".join(path.read_text(encoding="utf-8") for path in sorted(out.iterdir()))
    found = by_kind(texts)
    assert {name: pods_of(found, name) for name in ("models", "gateway", "models-gateway")} == {
        "models": 2,
        "gateway": 1,
        "models-gateway": 1,
    }
    assert by_kind(rendered(capsys, written(tmp_path, plan))) == found


@pytest.mark.parametrize("percentage", [None, 40])
@pytest.mark.parametrize("engine", ["vllm", "triton"])
def test_replicas_are_those_of_the_plan_alone_or_shared(capsys, tmp_path, engine, percentage):
    """A model may have one GPU alone and share another: each stands once, and neither is lost."""
    plan = {
        "placement": [gpu("a", "b"), gpu("a", "b", "c"), gpu("b"), gpu("a", "a")],
        "models": [
            model(name, engine, n, mps_active_thread_percentage=percentage)
            for name, n in (("a", 4), ("b", 3), ("c", 1))
        ],
    }
    found = by_kind(rendered(capsys, written(tmp_path, plan)))
    twice = 1 if engine == "triton" and percentage is None else 0  # two instances in one pod
    assert {name: pods_of(found, name) for name in "abc"} == {"a": 4 - twice, "b": 3, "c": 1}
    if not twice:
        assert container(found, "b")["resources"]["limits"] == {"nvidia.com/gpu": 1}
        assert container(found, "b-2")["resources"]["limits"] == {"nvidia.com/gpu.shared": 1}
        assert found["Deployment", "b-2"]["spec"]["replicas"] == 2


def test_a_plan_whose_numbers_disagree_is_not_rendered(capsys, tmp_path):
    plan = {"placement": [gpu("a"), gpu("a")], "models": [model("a", "vllm", 3)]}
    assert run(["render", written(tmp_path, plan)]) == 2
    assert "places 2 replicas of model 'a' and says that it has 3" in capsys.readouterr().err


def test_under_mps_each_replica_is_a_process_with_its_percentage(capsys, tmp_path):
    plan = {
        "placement": [gpu("a", "b")],
        "models": [
            model("a", "triton", 1, mps_active_thread_percentage=63),
            model("b", "triton", 1, mps_active_thread_percentage=30),
        ],
    }
    assert run(["render", written(tmp_path, plan)]) == 0
    told = capsys.readouterr()
    assert "note: a: predicted as a process of its own under CUDA MPS" in told.err
    found = by_kind(told.out)
    for name, percentage in (("a", "63"), ("b", "30")):
        assert {"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": percentage} in container(found, name)["env"]


def test_memory_is_what_the_plan_hands_out(capsys, tmp_path):
    """0.35 of the GPU; of a slice of half its memory, what the plan needs of the slice."""
    slices = [{"slice": "3g.40gb", "start": 0, "memory_bytes": 4e10, "compute": 0.4, "used": True}]
    on_slice = {"mode": "mig", "slices": slices, "replicas": [{"model": "b", "slice": 0}]}
    needs = {"gpu_memory_utilization": 0.35, "memory": {"total_bytes": 3e10}}
    plan = {
        "placement": [gpu("a", "a"), gpu("b", **on_slice)],
        "models": [model("a", "vllm", 2, **needs), model("b", "vllm", 1, mode="mig", slice="3g.40gb", **needs)],
    }
    found = by_kind(rendered(capsys, written(tmp_path, plan)))
    assert container(found, "a")["args"][-2:] == ["--gpu-memory-utilization", "0.35"]
    assert container(found, "b")["args"][-2:] == ["--gpu-memory-utilization", "0.75"]
    assert container(found, "b")["resources"]["limits"] == {"nvidia.com/mig-3g.40gb": 1}


@pytest.mark.parametrize(
    ("one_node", "kind"),
    [
        (False, "requiredDuringSchedulingIgnoredDuringExecution"),
        (True, "preferredDuringSchedulingIgnoredDuringExecution"),
    ],
)
def test_models_that_the_plan_keeps_apart_stay_so(capsys, tmp_path, one_node, kind):
    other = "n0" if one_node else "n1"
    plan = {
        "placement": [gpu("a", "b"), gpu("c", "b", node=other)],
        "models": [
            model("a", "vllm", 1, anti_affinity={"not_with": ["c"]}),
            model("b", "vllm", 2),
            model("c", "vllm", 1),
        ],
    }
    found = by_kind(rendered(capsys, written(tmp_path, plan)))
    for name, apart in (("a", "c"), ("c", "a")):
        (term,) = found["Deployment", name]["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][kind]
        term = term.get("podAffinityTerm", term)
        assert term["labelSelector"]["matchLabels"] == {f"model.replicast.dev/{apart}": "true"}
    assert "affinity" not in found["Deployment", "b"]["spec"]["template"]["spec"]


def size_plan(**more: Any) -> dict[str, Any]:
    return {"profile": "chat", "replicas": 1, "serving": serving("vllm", **more)}


@pytest.mark.parametrize(("tokens", "flag"), [(70_000, ["70000"]), (200_000, [])])
def test_sequences_are_held_to_what_memory_holds(capsys, tmp_path, tokens, flag):
    """Llama 3.1 has a context of 131,072: vLLM does not start where one such sequence does not fit."""
    found = by_kind(rendered(capsys, written(tmp_path, size_plan(limits={"kvCacheTokens": tokens}))))
    args = container(found, "chat")["args"]
    assert [args[at + 1] for at, each in enumerate(args) if each == "--max-model-len"] == flag


def test_size_says_how_many_tokens_memory_holds(capsys, tmp_path):
    question = ["--qps", "1", "--input-tokens", "512", "--output-tokens", "128", "--slo", "e2e:p99<=60s"]
    assert (
        run(["size", "--model", "meta-llama/Llama-3.1-8B-Instruct", "--gpu", "L4-24GB", *question, "-o", "json"]) == 0
    )
    plan = json.loads(capsys.readouterr().out)
    tokens = plan["serving"]["limits"]["kvCacheTokens"]
    assert 0 < tokens < 131_072
    args = container(by_kind(rendered(capsys, written(tmp_path, {**plan, "profile": "chat"}))), "chat")["args"]
    assert args[args.index("--max-model-len") + 1] == str(tokens)


@pytest.mark.parametrize(
    ("model_name", "quantization", "per_replica", "missing"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "awq", 1, "is not so quantised"),
        ("meta-llama/Llama-3.1-70B-Instruct", "fp8", 1, "loads meta-llama/Llama-3.1-70B-Instruct at 16 bits"),
        ("meta-llama/Llama-3.1-70B-Instruct", "fp8", 4, ""),
        ("meta-llama/Llama-3.1-70B-Instruct-AWQ", "awq", 1, ""),
        ("openai/gpt-oss-120b", "mxfp4", 1, ""),
    ],
)
def test_weights_that_the_named_model_does_not_have_are_told(
    capsys, tmp_path, model_name, quantization, per_replica, missing
):
    on = {"gpu": {**GPU, "perReplica": per_replica, "tensorParallel": per_replica}}
    plan = written(tmp_path, size_plan(model=model_name, quantization=quantization, **on))
    assert run(["render", plan]) == 0
    told = capsys.readouterr()
    assert ("WILL NOT START" in told.err) == bool(missing)
    assert missing in told.err
    annotations = by_kind(told.out)["Deployment", "chat"]["metadata"].get("annotations", {})
    assert ("WILL NOT START" in annotations.get("replicast.dev/notes", "")) == bool(missing)
    assert run(["render", plan, "--checkpoint", "chat=someone/Llama-quantised"]) == 0
    told = capsys.readouterr()
    assert "WILL NOT START" not in told.err
    only = container(by_kind(told.out), "chat")
    assert only["command"] == ["vllm", "serve", "someone/Llama-quantised"]
    assert "--quantization" not in only["args"], "the checkpoint says so itself"


@pytest.mark.parametrize("given", ["chat", "=x", "chat=", "chat=--trust-remote-code", "nobody=x/y"])
def test_a_checkpoint_of_nothing_is_told(capsys, tmp_path, given):
    assert run(["render", written(tmp_path, size_plan()), "--checkpoint", given]) == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_tensorrt_llm_stays_in_the_foreground(capsys, tmp_path):
    two = {"gpu": {**GPU, "perReplica": 2, "tensorParallel": 2}}
    plan = {"profile": "chat", "replicas": 1, "serving": {**serving("triton-trtllm"), **two}}
    command = container(by_kind(rendered(capsys, written(tmp_path, plan))), "chat")["command"]
    assert command[0] == "mpirun", "the launch script would start it and end"
    assert command.count("tritonserver") == 2
    assert command.count("--load-model=tensorrt_llm") == 1, "the second rank serves nothing itself"
    plan["serving"]["gpu"]["nodesPerReplica"] = 2
    assert run(["render", written(tmp_path, plan)]) == 2
    assert "is not rendered" in capsys.readouterr().err


def test_workers_join_late_and_leave_last(capsys):
    found = by_kind(rendered(capsys, str(PLANS / "group.json")))
    template = found["LeaderWorkerSet", "llama-405b"]["spec"]["leaderWorkerTemplate"]
    leader, worker = (template[each]["spec"] for each in ("leaderTemplate", "workerTemplate"))
    script = worker["containers"][0]["command"][2]
    assert "until ray start" in script
    assert "SECONDS < 300" in script
    assert '"$LWS_GROUP_SIZE"' in leader["containers"][0]["command"][2], "the leader waits for all of them"
    assert "LWS_LEADER_ADDRESS/8000" in worker["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    assert worker["terminationGracePeriodSeconds"] == leader["terminationGracePeriodSeconds"]
    startup = leader["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > 810e9 / 2.5e8, "810 GB from a slow volume"
    for pod in (leader, worker):
        claims = [
            each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "persistentVolumeClaim" in each
        ]
        assert claims == ["hugging-face-cache"]
    assert "RDMA" in found["LeaderWorkerSet", "llama-405b"]["metadata"]["annotations"]["replicast.dev/notes"]


def test_a_worker_tries_until_the_leader_is_there(tmp_path):
    """The script itself, with a `ray` that fails twice."""
    import os
    import subprocess

    from planner.manifests.vllm import _in_group

    ray = tmp_path / "ray"
    ray.write_text(f"#!/bin/sh\necho x >> {tmp_path}/tries\ntest $(wc -l < {tmp_path}/tries) -ge 3\n", encoding="utf-8")
    (tmp_path / "sleep").write_text("#!/bin/sh\n", encoding="utf-8")
    for each in (ray, tmp_path / "sleep"):
        each.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LWS_LEADER_ADDRESS": "leader"}
    (script,) = _in_group([], "worker", 1800)
    assert subprocess.run(["bash", "-c", script], env=environment, check=False, timeout=20).returncode == 0
    assert (tmp_path / "tries").read_text(encoding="utf-8").count("x") == 3


def test_many_routes_are_several_http_routes(capsys, tmp_path):
    """An HTTPRoute has 16 rules at most."""
    routes = [{"name": f"r{n}", "path": f"/r{n}", **size_plan()} for n in range(35)]
    routes[0] = {**routes[0], "serving": serving("triton")}
    plan = {"kind": "TopologyPlan", "feasible": True, "gateway": {"name": "inference"}, "routes": routes}
    assert run(["render", written(tmp_path, plan)]) == 0
    told = capsys.readouterr()
    rules = [len(each["spec"]["rules"]) for (kind, _), each in by_kind(told.out).items() if kind == "HTTPRoute"]
    assert rules == [16, 16, 3]
    assert "note: /r0 is rewritten to /v2/models/r0/infer" in told.err


def test_an_autoscaler_starts_from_the_plan(capsys, tmp_path):
    route = {"name": "chat", "path": "/", **size_plan(), "replicas": 2, "min_replicas": 1}
    plan = {"kind": "TopologyPlan", "feasible": True, "gateway": {"name": "inference"}, "routes": [route]}
    found = by_kind(rendered(capsys, written(tmp_path, plan), "--hpa"))
    assert found["HorizontalPodAutoscaler", "chat"]["spec"]["minReplicas"] == 2


def test_the_leader_waits_for_its_group(tmp_path):
    """Three nodes are alive at the second look: only then does the engine start."""
    import os
    import subprocess

    from planner.manifests.vllm import _in_group

    for name, body in (
        ("ray", "true"),
        ("sleep", "true"),
        ("python3", f"echo x >> {tmp_path}/looks; test $(wc -l < {tmp_path}/looks) -ge 2 && echo 3 || echo 1"),
        ("engine", f'cp {tmp_path}/looks {tmp_path}/started; echo "$@" > {tmp_path}/arguments'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LWS_GROUP_SIZE": "3"}
    command = ["bash", "-c", *_in_group(["engine", "serve", "a model; $(x)"], "leader", 1800)]
    assert subprocess.run(command, env=environment, check=False, timeout=20).returncode == 0
    assert (tmp_path / "started").read_text(encoding="utf-8").count("x") == 2
    assert (tmp_path / "arguments").read_text(encoding="utf-8") == "serve a model; $(x)\n"


def test_a_model_whose_context_is_not_known_is_told(capsys, tmp_path):
    plan = written(tmp_path, size_plan(model="someone/new-model", limits={"kvCacheTokens": 50_000}))
    assert run(["render", plan]) == 0
    told = capsys.readouterr()
    assert "the context of someone/new-model is not known here" in told.err
    assert "--max-model-len" not in container(by_kind(told.out), "chat")["args"]
