"""The answer of `planner pack` as data in SI units: what `-o json` prints and `planner render` reads.

```
{"feasible": true,
 "optimal": true,                          # proven: the cost is the lower bound
 "gap": 0.0,                               # (cost − bound) / bound, of the cost (of GPUs where there are no prices)
 "bound": {"cost_per_hour": 9.2, "gpus": null},
 "cost": {"per_hour": 9.2},                # null without prices
 "gpus": {"total": 3, "by_type": {"A100-SXM4-80GB": 3}},
 "nodes": [{"name": "a100-sxm4-80gb-0", "type": "A100-SXM4-80GB", "gpus": 3}],       # nodes that have work
 "placement": [                            # one entry a GPU that has work
   {"node": "a100-sxm4-80gb-0", "index": 0,          # index within the node, as CUDA counts
    "type": "A100-SXM4-80GB",
    "mode": "time-shared",                 # dedicated | group (part of a replica of several GPUs) | time-shared | mig
    "memory": {"usable_bytes": 8.1e10, "used_bytes": 4.0e10},
    "share": {"granted": 0.8, "most": 0.91},         # sum of granted shares, and the most that interference leaves; null for mig
    "slices": [{"slice": "3g.40gb", "start": 0, "memory_bytes": 4.2e10, "compute": 0.39, "used": true}],   # mig: the layout; else []
    "replicas": [                          # one entry a replica (or a replica's part)
      {"model": "reranker", "share": 0.4, "memory_bytes": 3.0e9,
       "slice": null,                      # index in `slices`, for mig
       "group": null}]}],                  # number of the replica that this GPU is a part of, for mode group
 "models": [
   {"name": "reranker", "profile": "reranker", "engine": "triton", "model": "bge-reranker-base",
    "gpu_type": "A100-SXM4-80GB", "mode": "time-shared", "slice": null,              # slice: profile such as 3g.40gb
    "replicas": 2, "instances_per_replica": 1, "gpus_per_replica": 1, "tensor_parallel": 1, "pipeline_parallel": 1,
    "nodes_per_replica": 1,
    "qps": 90.0, "qps_per_replica": 45.0, "share": 0.4,  # share of a GPU's time (of its compute) granted to each replica
    "utilization": 0.6,                    # of the share
    "memory": {"weights_bytes": …, "workspace_bytes": …, "kv_bytes": …, "context_bytes": …, "total_bytes": …,   # on one GPU
               "derived": ["…"], "kv_tokens": null},
    "objectives": [{"objective": "e2e:p99<=0.15", "limit": 0.15, "predicted": 0.12, "met": true, "margin": 0.2}],
    "predicted": {"e2e": {"mean": …, "p50": …, "p90": …, "p95": …, "p99": …}, "queue": {…}},
    "anti_affinity": {"spread": "gpu", "not_with": ["chat"]},        # spread: null | gpu | node
    "min_replicas": 1, "max_replicas": null,
    "instance_groups": [                   # Triton's `instance_group` of each server; [] for vLLM
      {"node": "a100-sxm4-80gb-0", "slice": null, "kind": "KIND_GPU", "count": 1, "gpus": [0, 1]}],
    "mps_active_thread_percentage": 40}],  # CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; null where it has its GPU or slice alone
 "one_fewer": {"type": "A100-SXM4-80GB", "gpus": 2, "possible": false, "proven": true, "reasons": ["…"]},
 "blocking": [{"constraint": "memory", "cost_per_hour": …, "gpus": 2, "saves": 1, "solved": true, "words": "…"}],
                                           # constraint: memory | compute share | anti-affinity | minimum replicas | GPU counts
 "assumptions": ["…"], "warnings": ["…"]}
```

Where there is no plan: `{"feasible": false, "reason": "…", "remedy": "…", "models": [names that cannot be placed]}`.
"""

from __future__ import annotations
