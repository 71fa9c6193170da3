"""What Triton shows at /metrics of TensorRT-LLM, as its backend's documentation has it.

github.com/triton-inference-server/tensorrtllm_backend, README and custom_metrics_reporter; with the histogram of first
responses, which a server shows that is started with `--metrics-config histogram_latencies=true`. Requests that wait are
shown as Triton's pending ones.
"""

from __future__ import annotations

from models.simulation.live.live_replica import LiveReplica
from models.simulation.live.observations import Buckets
from planner.simulated_service.exposition_text import family, histogram, page, sample
from planner.simulated_service.triton_page import core

_LENGTHS = (10.0, 50.0, 100.0, 500.0, 1000.0)
_FIRST_S = (0.1, 0.5, 2.0, 5.0)
_UNSEEN: tuple[float, ...] = ()

BUCKETS = Buckets(
    ttft=_FIRST_S, itl=_UNSEEN, tpot=_UNSEEN, e2e=_UNSEEN, queue=_UNSEEN, prompt_length=_LENGTHS, output_length=_LENGTHS
)


def trtllm_page(replica: LiveReplica, model_name: str) -> str:
    """The page of one replica."""
    labels = {"model": model_name, "version": "1"}
    served = replica.e2e.count
    shown = {
        "request_success": served,
        "exec_count": served,
        "request_duration_us": round(1e6 * replica.e2e.sum),
        "queue_duration_us": 0,
        "pending_request_count": replica.waiting,
    }
    first = "nv_inference_first_response_histogram_ms"
    return page(
        *core(shown, rejected=replica.rejected, model_name=model_name),
        *_gauges(replica, labels),
        *(
            histogram(
                f"nv_llm_{which}_token_len",
                f"TRT LLM response metrics, {which} tokens",
                {"model": model_name, "response_metric_type": f"total_{which}_tokens", "version": "1"},
                seen,
            )
            for which, seen in (("input", replica.prompt_length), ("output", replica.output_length))
        ),
        histogram(first, "Duration from request to first response in milliseconds", labels, replica.ttft, scale=1e3),
    )


def _gauges(replica: LiveReplica, labels: dict[str, str]) -> list[list[str]]:
    limits = replica.engine.limits
    generating = replica.generating
    blocks = 0 if limits.kv_cache_tokens is None else int(limits.kv_blocks)
    used = round(replica.kv_usage * blocks)
    return [
        _gauge(
            "request", "request_type", "TRT LLM request metrics", labels,
            {
                "context": replica.running - generating,
                "scheduled": replica.running,
                "max": limits.max_num_seqs,
                "active": replica.running,
            },
        ),
        _gauge(
            "kv_cache_block", "kv_cache_block_type", "TRT LLM KV cache block metrics", labels,
            {"tokens_per": limits.kv_block_size, "used": used, "free": blocks - used, "max": blocks},
        ),
        _gauge(
            "inflight_batcher", "inflight_batcher_specific_metric", "TRT LLM inflight_batcher-specific metrics", labels,
            {"micro_batch_id": 0, "generation_requests": generating, "total_context_tokens": 0, "paused_requests": 0},
        ),
    ]  # fmt: skip


def _gauge(what: str, label: str, about: str, labels: dict[str, str], values: dict[str, int]) -> list[str]:
    name = f"nv_trt_llm_{what}_metrics"
    samples = [sample(name, {label: kind, **labels}, value) for kind, value in values.items()]
    return family(name, "gauge", about, samples)
