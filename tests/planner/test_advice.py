"""The rows of the vLLM-versus-Triton decision as golden text, and what must never be advised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.advice import Engine, Needs, SetUp, advise
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


def test_measured_capacities_stand_beside_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["advise", "--model", "Qwen/Qwen3-32B", "--gpu", "H100-SXM5-80GB"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "requests/s and GPU at capacity on H100-SXM5-80GB at 16 bits with vllm" in told
    assert "needs at least 2 × H100-SXM5-80GB a replica" in told or "needs at least 1 ×" in told


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


def test_what_was_measured_overrules_the_rule_that_compiled_engines_carry_more() -> None:
    invests = {"max_throughput": True, "set_up": SetUp.DAYS}
    assert advise(Needs(**invests, trtllm_gain=0.24)).engine is Engine.TRITON_TRTLLM
    slower = advise(Needs(**invests, trtllm_gain=-0.05))
    assert slower.engine is Engine.VLLM
    assert "measured to carry no more" in slower.reasons[0]


def test_a_model_too_large_for_a_node_is_laid_out_as_groups_whatever_serves_it() -> None:
    for more in ({}, {"max_throughput": True, "set_up": SetUp.DAYS}, {"other_models": 1}):
        found = advise(Needs(spans_nodes=True, **more))
        assert "LeaderWorkerSet" in found.topology
        assert any("RDMA" in pitfall for pitfall in found.pitfalls)
