"""Models across GPUs and nodes: what fits, what is refused with its arithmetic, and that estimates say so."""

from __future__ import annotations

import json

import pytest

from models.errors import InvalidInput, NoFeasiblePlan
from planner.cli.main import run
from planner.estimated_profile import estimated_profile
from planner.hardware import find_gpu, find_model, step_prior
from planner.parallelism import Parallelism, on_layout
from planner.profile import load_profile

LLAMA_405B = "meta-llama/Llama-3.1-405B"
H100 = "H100-SXM5-80GB"
ASKED = ["--qps", "1", "--input-tokens", "1000", "--output-tokens", "300", "--slo", "itl:p95<=120ms"]
ON_H100 = ["size", "--model", LLAMA_405B, "--gpu", H100]


def test_405b_does_not_fit_one_node_and_the_arithmetic_is_told():
    """16 bits: 405.9·10⁹ parameters × 2 bytes / 8 GPUs = 101.5 GB of weights on each GPU of 80 GiB."""
    with pytest.raises(NoFeasiblePlan, match=r"77\.3 GB usable − 101\.5 GB weights") as told:
        on_layout(estimated_profile(LLAMA_405B, H100), Parallelism(tensor=8), measured=False)
    assert "16 GPUs (2 nodes of 8) at bf16" in told.value.remedy
    assert "8 GPUs (1 node of 8) at fp8" in told.value.remedy


def test_405b_in_groups_of_two_nodes(capsys):
    assert run([*ON_H100, "--tensor-parallel", "8", "--pipeline-parallel", "2", *ASKED, "-o", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["gpus"] == 16 * plan["replicas"]
    assert plan["nodes"] == 2 * plan["replicas"]
    assert plan["serving"]["gpu"] == {
        "type": H100, "perReplica": 16, "tensorParallel": 8, "pipelineParallel": 2, "nodesPerReplica": 2,
    }  # fmt: skip
    assert sum("an ESTIMATE" in note for note in plan["assumptions"]) == 2
    assert any("estimated, not measured" in note for note in plan["warnings"])


def test_what_does_not_fit_is_a_document_too(capsys):
    assert run([*ON_H100, "--tensor-parallel", "8", *ASKED, "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["feasible"] is False


def test_the_step_of_data_sheets_is_the_prior_at_one_gpu():
    profile = estimated_profile("meta-llama/Llama-3.1-8B", H100)
    prior = step_prior(find_gpu(H100), find_model("meta-llama/Llama-3.1-8B"), precision="bf16")
    assert prior is not None
    assert profile.fitted.step_time.seconds(100.0, 10.0, 1e4) == pytest.approx(
        prior.base_s + 100 * prior.per_prefill_token_s + 10 * prior.per_decode_s + 1e4 * prior.per_kv_token_s
    )


def test_a_mixture_of_experts_reads_a_token_of_experts_for_one_token():
    profile = estimated_profile("openai/gpt-oss-120b", "H200-SXM5-141GB")
    prior = step_prior(find_gpu("H200-SXM5-141GB"), find_model("openai/gpt-oss-120b"), precision="bf16")
    assert prior is not None
    one = profile.fitted.step_time.seconds(0.0, 1.0, 0.0)
    assert one == pytest.approx(prior.base_s + prior.per_decode_s, rel=1e-6)


def test_a_measured_layout_is_left_as_it_is():
    profile = load_profile("llama-3.1-70b-fp8-h200-vllm-tp2")
    assert on_layout(profile, Parallelism(tensor=2)) is profile
    wider = on_layout(profile, Parallelism(tensor=4))
    assert wider.spec.gpu.per_replica == 4
    assert wider.fitted.step_time.seconds(0, 8, 8000) < profile.fitted.step_time.seconds(0, 8, 8000)
    assert wider.spec.measurements == ()
    assert "not measured there" in wider.spec.provenance[-1].notes[-1]


def test_a_slower_link_takes_more_replicas_or_time(capsys):
    def itl(*link: str) -> float:
        layout = ["--tensor-parallel", "16", *link]
        assert run([*ON_H100, *layout, *ASKED, "-o", "json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        return plan["replicas"] * plan["predicted"]["itl"]["p50"]

    assert itl("--link-bandwidth", "10Gb/s", "--link-latency", "50us") > 1.5 * itl()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tensor-parallel", "3", "--pipeline-parallel", "6"], "tensor 3 × pipeline 6"),
        (["--tensor-parallel", "12"], "tensor 12 × pipeline 1"),
        (["--tensor-parallel", "8", "--pipeline-parallel", "200"], "126 layers"),
        (["--tensor-parallel", "8", "--link-bandwidth", "50"], "'50' is not a bandwidth"),
        (["--tensor-parallel", "8", "--link-bandwidth", "-1GB/s"], "is not a bandwidth"),
        (["--tensor-parallel", "8", "--link-latency", "fast"], "'fast' is not a duration"),
        (["--tensor-parallel", "0"], "tensor-parallel"),
        (["--nodes-per-replica", "2"], "a replica of 1 GPU (tensor 1 × pipeline 1) does not span 2 nodes"),
        (["--profile", "llama-3.1-8b-a100-vllm"], "--model stands in for --profile"),
        (["--quantization", "int3"], "at int3 costs does not follow"),
    ],
)
def test_wrong_layouts_are_told(capsys, arguments, said):
    assert run([*ON_H100, *arguments, *ASKED]) == 2
    assert said in capsys.readouterr().err


def test_nodes_that_are_held_are_paid_whole(capsys):
    """Four GPUs on each of four nodes of eight: 32 GPUs a replica, 16 of them at work."""
    layout = ["--tensor-parallel", "4", "--pipeline-parallel", "4", "--nodes-per-replica", "4"]
    assert run([*ON_H100, *layout, *ASKED, "--gpu-price", "2", "-o", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    replicas = plan["replicas"]
    assert plan["cost"]["per_hour"] == pytest.approx(32 * 2.0 * replicas)
    assert plan["cost"]["note"] == f"for {32 * replicas} GPUs of whole nodes, of which {16 * replicas} work"
    assert run([*ON_H100, *layout, *ASKED, "--gpu-price", "2"]) == 0
    assert f"for {32 * replicas} GPUs of whole nodes" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "meta-llama/Llama-3.1-45B", "--gpu", H100], "did you mean meta-llama/Meta-Llama-3.1"),
        (["--model", LLAMA_405B, "--gpu", "H100"], "GPU 'H100' is not in the catalogue"),
        (["--model", LLAMA_405B], "--model needs the GPU"),
        (["--profile", "llama-3.1-8b-a100-vllm", "--quantization", "fp8"], "--quantization belongs to --model"),
    ],
)
def test_wrong_names_are_told(capsys, arguments, said):
    assert run(["size", *arguments, *ASKED]) == 2
    assert said in capsys.readouterr().err


def test_a_dynamic_batcher_is_not_spread():
    from planner.profile import EngineProfile

    batcher = EngineProfile.model_validate(
        {
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "EngineProfile",
            "metadata": {"name": "reranker"},
            "spec": {
                "engine": "triton",
                "model": "bge",
                "gpu": {"type": H100},
                "limits": {"maxBatchSize": 8},
                "serviceTime": [{"batch": 1, "mean": 0.01}],
            },
        }
    )
    with pytest.raises(InvalidInput, match="is of a dynamic batcher"):
        on_layout(batcher, Parallelism(tensor=2))
