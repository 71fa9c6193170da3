"""One model of a server, as a plan says that it is started; and how much of its context the planned memory holds."""

from __future__ import annotations

from typing import Any

from models.errors import InvalidInput
from planner.hardware import find_model, named_quantization, precision_of
from planner.manifests.server import ServedModel
from planner.plan_fields import Serving
from planner.profile import Limits


def served_model(
    name: str, serving: Serving, *, gpus: int | None = None, kv_tokens: int | None = None, **more: Any
) -> ServedModel:
    """Under a DNS label. `kv_tokens` is what the plan states, if less than the profile's; `more` replaces fields."""
    gpu, limits = serving.gpu, serving.limits or Limits()
    if serving.model.startswith("-"):
        raise InvalidInput(f"model {serving.model[:80]!r} would be read as an option", remedy="name a model or a path")
    batcher = serving.engine == "triton"
    known = serving.limits is not None and not batcher
    tensor = gpu.tensor_parallel
    if tensor * gpu.pipeline_parallel != gpu.per_replica:  # data sets often state the GPUs alone
        tensor = max(1, (gpus or gpu.per_replica) // gpu.pipeline_parallel)
    tokens = [each for each in (limits.kv_cache_tokens, kv_tokens) if each and serving.engine == "vllm"]
    return ServedModel(
        name=name,
        engine=serving.engine,
        model=serving.model,
        quantization=serving.quantization,
        weights_bytes=None if batcher else _weights(serving),
        tensor=tensor,
        pipeline=gpu.pipeline_parallel,
        max_num_seqs=limits.max_num_seqs if known else None,
        max_num_batched_tokens=limits.max_num_batched_tokens if known else None,
        kv_block_size=limits.kv_block_size if known else None,
        chunked_prefill=limits.chunked_prefill if known else None,
        max_batch_size=limits.max_batch_size if batcher else None,
        preferred_batch_sizes=limits.preferred_batch_sizes,
        max_queue_delay_s=limits.max_queue_delay,
        **{"instances": limits.instances, **_context(serving.model, min(tokens, default=None)), **more},
    )


def _weights(serving: Serving) -> float | None:
    """Bytes of a replica; None where the model's shape is not known."""
    shape = find_model(serving.model)
    stated = serving.quantization if serving.quantization not in ("none", "") else named_quantization(serving.model)
    return None if shape is None else shape.weight_bytes(precision_of(stated))


def _context(model: str, kv_tokens: int | None) -> dict[str, Any]:
    """Engines do not start where one sequence of the model's whole context would not fit their KV cache."""
    if kv_tokens is None:
        return {}
    shape = find_model(model)
    if shape is None:
        return {
            "notes": (
                (
                    f"the plan has {kv_tokens:,} tokens of KV, and the context of {model} is not known here: add "
                    "--max-model-len where it is longer, or vLLM does not start"
                ),
            )
        }
    if kv_tokens >= shape.max_positions:
        return {}
    return {
        "max_model_len": kv_tokens,
        "notes": (
            (
                f"sequences are held to {kv_tokens:,} tokens, the planned KV cache, of the {shape.max_positions:,} of "
                f"{model}; lower --max-model-len should vLLM find less memory at start-up"
            ),
        ),
    }
