"""A HorizontalPodAutoscaler between the plan's bounds, on requests in a replica."""

from __future__ import annotations

import math
from typing import Any

from planner.manifests.pod import metadata
from planner.manifests.server import RenderOptions, Server

_RUNNING, _PENDING = "vllm:num_requests_running", "nv_inference_pending_request_count"
_MOST = 2
"""Times the planned replicas, where the plan has no upper bound."""


def autoscaler(server: Server, options: RenderOptions) -> dict[str, Any]:
    """Needs an adapter that serves the engine's metric of each pod (such as prometheus-adapter)."""
    group = server.nodes > 1
    target = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1" if group else "apps/v1",
        "kind": "LeaderWorkerSet" if group else "Deployment",
        "name": server.name,
    }
    most = server.most or _MOST * server.replicas
    average = max(1, math.ceil(server.concurrency or 1.0))
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(server.name, server, options),
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": min(server.least, most),
            "maxReplicas": max(most, server.replicas),
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": _RUNNING if server.engine == "vllm" else _PENDING},
                        "target": {"type": "AverageValue", "averageValue": str(average)},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }
