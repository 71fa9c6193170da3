"""A Deployment: replicas that are one pod each."""

from __future__ import annotations

from typing import Any

from planner.manifests.pod import metadata, pod_template, selector
from planner.manifests.server import RenderOptions, Server


def deployment(server: Server, options: RenderOptions) -> dict[str, Any]:
    """One pod at a time is replaced: a second one beside it would need GPUs that the plan does not have."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(server.name, server, options, server.all_notes),
        "spec": {
            "replicas": server.replicas,
            "selector": {"matchLabels": selector(server)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": server.start_s + 600,
            "template": pod_template(server, options),
        },
    }
