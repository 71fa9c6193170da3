"""The rows of the vLLM-versus-Triton decision as golden text, and what must never be advised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.advice import Engine, Gain, Needs, SetUp, advise
from planner.advice_numbers import compiled_gain, numbers
from planner.advice_subject import subject
from planner.cli.main import run

GOLDEN = Path(__file__).parents[1] / "golden" / "advise.txt"
ROWS = (
    ("one-LLM chat API", ["--openai-api", "--streaming"], Engine.VLLM),
    ("several models on a shared GPU", ["--llms", "3", "--shared-gpu"], Engine.TRITON),
    ("RAG", ["--pipeline", "--other-models", "2"], Engine.TRITON),
    ("RAG behind the OpenAI API", ["--pipeline", "--other-models", "2", "--openai-api"], Engine.HYBRID),
    ("quick prototype", ["--set-up", "minutes"], Engine.VLLM),
    ("maximum throughput, willing to invest", ["--max-throughput", "--set-up", "days"], Engine.TRITON_TRTLLM),
    ("OpenAI SDK drop-in", ["--openai-api"], Engine.VLLM),
    ("mixed vision, text and tabular", ["--other-models", "2", "--grpc"], Engine.TRITON),
    ("edge, minimal resources", ["--edge"], Engine.VLLM),
    ("edge, with its memory", ["--edge", "--model", "Qwen/Qwen3-8B", "--gpu-memory", "16"], Engine.VLLM),
    (
        "maximum throughput, with what was measured",
        ["--max-throughput", "--set-up", "days", "--model", "llama-3.1-8b", "--gpu", "A100-SXM4-80GB"],
        Engine.TRITON_TRTLLM,
    ),
    ("pitfall: Triton's OpenAI API", ["--llms", "2", "--shared-gpu", "--openai-api", "--streaming"], Engine.TRITON),
    ("pitfall: several models on one vLLM", ["--llms", "3", "--openai-api"], Engine.VLLM),
    (
        "pitfall: 405B on one node",
        ["--openai-api", "--model", "meta-llama/Meta-Llama-3.1-405B", "--gpu", "H100-SXM5-80GB"],
        Engine.VLLM,
    ),
)


def test_the_rows_of_the_decision_are_as_looked_over(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for row, options, engine in ROWS:
        assert run(["advise", *options]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{engine.value}: ")
        told.append(f"# {row}: planner advise {' '.join(options)}\n{text}")
    assert "\n".join(told) == GOLDEN.read_text(encoding="utf-8")


needs = st.builds(
    Needs,
    llms=st.integers(1, 4),
    other_models=st.integers(1, 4),
    openai_api=st.booleans(),
    grpc=st.booleans(),
    streaming=st.booleans(),
    shared_gpu=st.booleans(),
    pipeline=st.booleans(),
    edge=st.booleans(),
    max_throughput=st.booleans(),
    set_up=st.sampled_from(SetUp),
)


@given(needs)
def test_whatever_cannot_be_served_by_an_engine_is_never_advised(asked: Needs) -> None:
    found = advise(asked)
    assert found.reasons
    assert found.engine not in (Engine.VLLM, Engine.TRITON_TRTLLM), "other models are there"


def test_405b_on_one_node_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["advise", "--model", "meta-llama/Meta-Llama-3.1-405B", "--gpu", "H100-SXM5-80GB"]) == 0
    assert "does not fit one node of 8 × H100-SXM5-80GB" in " ".join(capsys.readouterr().out.split())


def told(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run(["advise", *options]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_predicted_capacities_stand_beside_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--model", "Qwen/Qwen3-32B", "--gpu", "H100-SXM5-80GB")
    assert "requests/s and GPU at capacity on H100-SXM5-80GB at 16 bits, 2 GPUs a replica, with vllm" in text
    assert "profile qwen3-32b-h100-vllm-tp2, 30 points measured at 1,024–4,096 + 128–1,024 tokens, 8–128 at a" in text
    assert "measured:" not in text, "a capacity is computed"


def test_what_is_doubtful_of_a_profile_stands_beside_what_is_predicted_from_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = told(capsys, "--model", "llama-3.1-8b", "--gpu", "A100-SXM4-80GB")
    assert "doubtful of llama-3.1-8b-a100-vllm: figures of the profile contradict each other" in text
    assert "the profile was measured up to 32" in text
    assert "rests on one measured point" in text


def test_only_engines_that_are_alike_are_compared() -> None:
    gains = [line for line in numbers(subject("llama-3.1-70b", None, None)) if line.startswith("like for like")]
    assert [line.partition(":")[0] for line in gains] == [
        f"like for like on {where} a replica"
        for where in (
            "B200-SXM-180GB at fp4, 8 GPUs",
            "B200-SXM-180GB at fp8, 8 GPUs",
            "H200-SXM5-141GB at fp8, 1 GPU",
            "H200-SXM5-141GB at fp8, 4 GPUs",
        )
    ]
    asked = list(numbers(subject("llama-3.1-70b", "H200-SXM5-141GB", "fp4")))
    assert asked[-1] == "no shipped profile of llama-3.1-70b on H200-SXM5-141GB at fp4"


def test_a_pair_is_sound_where_its_figures_can_be_true_and_were_measured_near_there() -> None:
    contradicts = compiled_gain(subject("llama-3.1-8b", "A100-SXM4-80GB", None))
    assert contradicts is not None
    assert not contradicts.sound
    sound = compiled_gain(subject("llama-3.1-70b", None, None))
    assert sound is not None
    assert (sound.where, sound.sound) == ("H200-SXM5-141GB at fp8, 1 GPU a replica", True)


@pytest.mark.parametrize(
    ("model", "gpu", "precision", "exceeds"),
    [
        ("deepseek-ai/DeepSeek-R1", "H200-SXM5-141GB", "fp8 (as every shipped profile of it)", False),
        ("kimi-k2.5", "H200-SXM5-141GB", "int4 (as shipped profiles of it; 16 bits fit no node)", False),
        ("llama-3.1-70b", "H100-SXM5-80GB", "16 bits (assumed; --quantization says otherwise)", False),
        ("nvidia/Qwen3-235B-A22B-NVFP4", "B200-SXM-180GB", "nvfp4 (by its name)", False),
        ("Qwen/Qwen3-235B-A22B", "H200-SXM5-141GB", "16 bits (assumed; --quantization says otherwise)", False),
        ("meta-llama/Meta-Llama-3.1-405B", "H100-SXM5-80GB", "16 bits (assumed; --quantization says otherwise)", True),
    ],
)
def test_memory_is_told_at_the_precision_of_the_published_checkpoint(
    model: str, gpu: str, precision: str, exceeds: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, "--model", model, "--gpu", gpu)
    assert ("LeaderWorkerSet" in text) == ("does not fit one node" in text) == exceeds
    assert f"at {precision}" in text
    if exceeds:
        assert f"too large for one node at {precision}" in text


def test_the_precision_that_would_fit_is_one_that_the_gpu_has_units_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--model", "deepseek-ai/DeepSeek-V3.2", "--gpu", "H200-SXM5-141GB")
    assert "at fp8 it needs 8 of them" in text
    assert "fp4" not in text


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        (["--model", "nope"], "--model 'nope' is not known", "need no --model"),
        (["--model", "Qwen/Qwen3-9B"], "--model 'Qwen/Qwen3-9B' is not known", "did you mean Qwen3-8B?"),
        (["--model", ""], "--model '' is not known", "need no --model"),
        (["--model", "llama-3.1-8b", "--gpu", "FOO"], "--gpu 'FOO': no data sheet", "known: A100-PCIE-80GB"),
        (
            ["--model", "llama-3.1-8b", "--gpu", "H100"],
            "--gpu 'H100'",
            "did you mean H100-PCIE-80GB or H100-SXM5-80GB?",
        ),
        (["--model", "llama-3.1-8b", "--quantization", "zz"], "--quantization 'zz' is not", "use one of none, fp8"),
        (["--model", "llama-3.1-8b", "--quantization", ""], "--quantization '' is not", "use one of none, fp8"),
        (["--gpu", ""], "--gpu and --quantization mean nothing", "add --model"),
        (["--llms", "0", "--other-models", "1", "--model", "llama-3.1-8b"], "--model is of a language", "--llms 1"),
    ],
)
def test_what_is_not_known_is_refused_with_the_nearest_name(
    options: list[str], problem: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["advise", *options]) == 2
    error = capsys.readouterr()
    assert error.out == ""
    assert error.err.startswith(f"error: {problem}")
    assert remedy in error.err


@pytest.mark.parametrize(
    ("model", "widest", "layout"),
    [("Qwen/Qwen3-8B", "is fp8", "a quantised model"), ("Qwen/Qwen3-0.6B", "is 16 bits", "with a model")],
)
def test_an_edge_model_is_quantised_where_its_memory_asks_for_it(
    model: str, widest: str, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, "--edge", "--model", model, "--gpu-memory", "16")
    assert f"fits the machine's memory {widest}" in text
    assert layout in text
    assert "fits the machine" not in told(capsys, "--edge", "--model", "llama-3.1-70b", "--gpu-memory", "16")


def test_reasons_are_of_what_was_asked() -> None:
    hybrid = {"pipeline": True, "other_models": 2}
    assert "streams" not in advise(Needs(**hybrid, openai_api=True)).reasons[0]
    assert "streams" in advise(Needs(**hybrid, openai_api=True, streaming=True)).reasons[0]
    assert "OpenAI" not in advise(Needs(**hybrid, streaming=True)).reasons[0]
    assert advise(Needs(other_models=1)).reasons[0].startswith("1 model is of another kind: ")
    assert not any("one language model is" in reason for reason in advise(Needs(llms=5, grpc=True)).reasons)
    edge = advise(Needs(llms=2, edge=True))
    assert edge.topology.startswith("2 vLLM processes")
    assert not any("GPUs of their own" in pitfall for pitfall in edge.pitfalls)


@pytest.mark.parametrize(
    "options",
    [
        ["--llms", "0"],
        ["--shared-gpu"],
        ["--gpu", "H100-SXM5-80GB"],
        ["--edge", "--gpu-memory", "16"],
        ["--model", "Qwen/Qwen3-8B", "--gpu-memory", "16"],
        ["--edge", "--spans-nodes"],
    ],
)
def test_needs_that_are_none_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["advise", *options]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no model"):
        Needs(llms=0)


def test_sound_profiles_alone_overrule_the_rule_that_compiled_engines_carry_more() -> None:
    def advised(share: float, *, sound: bool):
        gain = Gain(share=share, where="L4-24GB at fp8, 1 GPU a replica", sound=sound)
        return advise(Needs(max_throughput=True, set_up=SetUp.DAYS, trtllm_gain=gain))

    faster = advised(0.24, sound=True)
    assert faster.engine is Engine.TRITON_TRTLLM
    assert "predicted 24% more on L4-24GB at fp8, 1 GPU a replica" in faster.reasons[0]
    slower = advised(-0.05, sound=True)
    assert slower.engine is Engine.VLLM
    assert "carry no more of this model: predicted 5% less on L4-24GB" in slower.reasons[0]
    doubtful = advised(-0.05, sound=False)
    assert doubtful.engine is Engine.TRITON_TRTLLM
    assert "measure both before building" in doubtful.reasons[0]
    assert doubtful.reasons[0].startswith("compiled engines usually give")


def test_a_model_too_large_for_a_node_is_laid_out_as_groups_whatever_serves_it() -> None:
    for more in ({}, {"max_throughput": True, "set_up": SetUp.DAYS}, {"other_models": 1}):
        found = advise(Needs(spans_nodes=True, **more))
        assert "LeaderWorkerSet" in found.topology
        assert any("RDMA" in pitfall for pitfall in found.pitfalls)
