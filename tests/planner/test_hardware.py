"""Parameters, weights and KV bytes computed from shapes, against the figures that publishers state."""

from __future__ import annotations

import pytest

from planner.hardware import find_gpu, find_model, gpus, models, step_prior


@pytest.mark.parametrize(
    ("model", "total_billions", "active_billions"),
    [
        # Totals and active parameters as on the publishers' model cards.
        ("meta-llama/Meta-Llama-3.1-8B", 8.03, 8.03),
        ("meta-llama/Meta-Llama-3.1-70B", 70.6, 70.6),
        ("meta-llama/Meta-Llama-3.1-405B", 406, 406),
        ("Qwen/Qwen3-32B", 32.8, 32.8),
        ("Qwen/Qwen3-8B", 8.2, 8.2),
        ("Qwen/Qwen3-0.6B", 0.6, 0.6),
        ("Qwen/Qwen3-30B-A3B", 30.5, 3.3),
        ("Qwen/Qwen3-235B-A22B", 235, 22),
        ("mistralai/Mixtral-8x7B-v0.1", 46.7, 12.9),
        ("deepseek-ai/DeepSeek-R1", 671, 37),
        ("moonshotai/Kimi-K2-Instruct", 1030, 32),
        ("openai/gpt-oss-120b", 117, 5.1),
        ("openai/gpt-oss-20b", 20.9, 3.6),
        ("MiniMaxAI/MiniMax-M2.5", 230, 10),
    ],
)
def test_parameters(model: str, total_billions: float, active_billions: float) -> None:
    shape = find_model(model)
    assert shape is not None
    count = shape.parameters
    assert count is not None
    assert count.total / 1e9 == pytest.approx(total_billions, rel=0.015)
    # Cards count embeddings in the active parameters or not: within the embedding and a tenth.
    active = count.active + count.head + count.embedding
    assert active_billions * 0.95 * 1e9 <= active <= active_billions * 1.1e9 + count.embedding


@pytest.mark.parametrize(
    ("model", "tensor_parallel", "kv_bytes"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 1, 2 * 32 * 8 * 128 * 2),
        ("meta-llama/Meta-Llama-3.1-70B", 4, 2 * 80 * 2 * 128 * 2),
        ("Qwen/Qwen3-235B-A22B", 8, 2 * 94 * 1 * 128 * 2),  # 4 heads for 8 GPUs: each keeps one whole
        ("deepseek-ai/DeepSeek-R1", 8, 61 * (512 + 64) * 2),  # latent: every GPU keeps all
        ("openai/gpt-oss-120b", 1, 2 * 18 * 8 * 64 * 2),  # every second layer has a short window
    ],
)
def test_kv_bytes_per_token(model: str, tensor_parallel: int, kv_bytes: int) -> None:
    shape = find_model(model)
    assert shape is not None
    assert shape.kv_bytes_per_token(tensor_parallel=tensor_parallel) == kv_bytes


def test_shapes_that_do_not_say_are_unknown() -> None:
    shape = find_model("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
    gpu = find_gpu("H100-SXM5-80GB")
    assert gpu is not None
    assert shape is not None
    assert shape.parameters is None
    assert step_prior(gpu, shape, precision="bf16") is None


def test_names_are_found_in_every_spelling() -> None:
    for name in ("nvidia/Llama-3.1-8B-Instruct-FP8", "Llama-3.1-8B", "META-LLAMA/meta-llama-3.1-8b"):
        shape = find_model(name)
        assert shape is not None
        assert shape.name == "meta-llama/Meta-Llama-3.1-8B"
    assert find_gpu("h100-sxm5-80gb") is find_gpu(" H100-SXM5-80GB ")
    assert find_gpu("A10G-24GB") is None
    assert find_model("bge-reranker-base") is None


def test_every_row_of_the_tables_is_read() -> None:
    assert len(gpus()) == 14
    assert len(models()) == 89
    for gpu in gpus().values():
        for shape in models().values():
            for precision in ("bf16", "fp8", "fp4"):
                prior = step_prior(gpu, shape, precision=precision)
                assert prior is None or prior.base_s > 0.0
