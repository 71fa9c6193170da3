"""What a plan says of how its replicas are started, so that manifests can be rendered from the plan alone."""

from __future__ import annotations

from typing import Any

from planner.profile import EngineProfile


def serving_fields(profile: EngineProfile) -> dict[str, Any]:
    """Engine, model, GPUs and limits of a replica, named as in the profile; the cold start where it was measured."""
    spec = profile.spec
    limits = spec.limits
    shared: dict[str, Any] = {
        "engine": spec.engine,
        "engineVersion": spec.engine_version,
        "model": spec.model,
        "quantization": spec.quantization,
        "gpu": spec.gpu.model_dump(by_alias=True),
    }
    if spec.engine == "triton":
        shared["limits"] = {
            "maxBatchSize": limits.max_batch_size,
            "instances": limits.instances,
            "preferredBatchSizes": list(limits.preferred_batch_sizes),
            "maxQueueDelay": limits.max_queue_delay,
        }
    else:
        shared["limits"] = {
            "maxNumSeqs": limits.max_num_seqs,
            "maxNumBatchedTokens": limits.max_num_batched_tokens,
            "kvBlockSize": limits.kv_block_size,
            "chunkedPrefill": limits.chunked_prefill,
            "kvCacheTokens": limits.kv_cache_tokens,
        }
    cold = spec.cold_start
    shared["coldStart"] = None if cold is None else {"p50": cold.p50, "p95": cold.p95}
    return shared
