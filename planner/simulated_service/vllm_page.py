"""What vLLM shows at /metrics: names from `planner.engine_metrics`, text and buckets as vLLM 0.32 has them.

A test holds every line against the page of a real one (tests/data/engines).
"""

from __future__ import annotations

from models.simulation.live.live_replica import LiveReplica
from models.simulation.live.observations import Buckets
from planner.engine_metrics import VLLM, Kind, Metric
from planner.simulated_service.exposition_text import family, histogram, page, sample

_TTFT = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
    640.0, 2560.0,
)  # fmt: skip
_PER_TOKEN = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
_REQUEST = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
_LONGEST = 131_072
"""Tokens that a model's context holds, where no KV memory bounds them."""

_ABOUT = {
    "running": "Number of requests in model execution batches.",
    "waiting": "Number of requests waiting to be processed.",
    "kv_usage": "KV-cache usage. 1 means 100 percent usage.",
    "prefix_queries": "Prefix cache queries, in terms of number of queried tokens.",
    "prefix_hits": "Prefix cache hits, in terms of number of cached tokens.",
    "preemptions": "Cumulative number of preemption from the engine.",
    "prompt_tokens": "Number of prefill tokens processed.",
    "output_tokens": "Number of generation tokens processed.",
    "ttft": "Histogram of time to first token in seconds.",
    "itl": "Histogram of inter-token latency in seconds.",
    "tpot": "Histogram of time_per_output_token_seconds per request.",
    "e2e": "Histogram of e2e request latency in seconds.",
    "queue": "Histogram of time spent in WAITING phase for request.",
    "prompt_length": "Number of prefill tokens processed.",
    "output_length": "Number of generation tokens processed.",
}
_ENDS = ("stop", "length", "abort", "error", "repetition")


def vllm_buckets(context_tokens: int | None) -> Buckets:
    """vLLM's own; those of lengths are 1, 2, 5, 10 … as far as the context goes."""
    most = min(_LONGEST, context_tokens or _LONGEST)
    lengths = [float(step * 10**power) for power in range(9) for step in (1, 2, 5) if step * 10**power <= most]
    return Buckets(
        ttft=_TTFT, itl=_PER_TOKEN, tpot=_PER_TOKEN, e2e=_REQUEST, queue=_REQUEST, prompt_length=lengths,
        output_length=lengths,
    )  # fmt: skip


def vllm_page(replica: LiveReplica, model_name: str, *, oldest_names: bool = False) -> str:
    """The page of one replica. `oldest_names`: each metric by the first name that vLLM gave it."""
    labels = {"engine": "0", "model_name": model_name}

    def name(metric: Metric | None) -> str:
        assert metric is not None
        return metric.names[-1 if oldest_names else 0]

    plain = {
        "running": replica.running,
        "waiting": replica.waiting,
        "kv_usage": replica.kv_usage,
        "prefix_queries": replica.prefix_queries,
        "prefix_hits": replica.prefix_hits,
        "preemptions": replica.preemptions,
        "prompt_tokens": replica.prompt_tokens,
        "output_tokens": replica.output_tokens,
    }
    known = dict(VLLM.of(*Kind))
    shapes = {
        "ttft": replica.ttft,
        "itl": replica.itl,
        "tpot": replica.tpot,
        "e2e": replica.e2e,
        "queue": replica.queue,
        "prompt_length": replica.prompt_length,
        "output_length": replica.output_length,
    }
    return page(
        *(
            family(
                name(known[meaning]), known[meaning].kind.value, _ABOUT[meaning],
                [sample(name(known[meaning]), labels, float(value))],
            )
            for meaning, value in plain.items()
        ),
        _ended(replica, name(VLLM.succeeded), model_name),
        _refused(replica, name(VLLM.rejected), model_name),
        *(histogram(name(known[meaning]), _ABOUT[meaning], labels, seen) for meaning, seen in shapes.items()),
        _cache(replica, name(VLLM.cache_config)),
    )  # fmt: skip


def _ended(replica: LiveReplica, name: str, model_name: str) -> list[str]:
    """Simulated requests end at their length."""
    samples = [
        sample(
            name,
            {"engine": "0", "finished_reason": reason, "model_name": model_name},
            float(replica.e2e.count if reason == "length" else 0),
        )
        for reason in _ENDS
    ]
    return family(name, "counter", "Count of successfully processed requests.", samples)


def _refused(replica: LiveReplica, name: str, model_name: str) -> list[str]:
    samples = [
        sample(name, {"model_name": model_name, "reason": reason}, float(count))
        for reason, count in (("max_num_queued_reqs", replica.rejected), ("max_num_queued_tokens", 0))
    ]
    return family(name, "counter", "Number of admission attempts rejected by a queue limit, by reason.", samples)


def _cache(replica: LiveReplica, name: str) -> list[str]:
    limits = replica.engine.limits
    if limits.kv_cache_tokens is None:
        return []
    labels = {
        "block_size": str(limits.kv_block_size),
        "engine": "0",
        "kv_cache_size_tokens": str(limits.kv_cache_tokens),
        "num_gpu_blocks": str(int(limits.kv_blocks)),
    }
    return family(name, "gauge", "Information of the LLMEngine CacheConfig", [sample(name, labels, 1.0)])
