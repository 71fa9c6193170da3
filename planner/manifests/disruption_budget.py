"""A PodDisruptionBudget: of a server's replicas, drains take one at a time."""

from __future__ import annotations

from typing import Any

from planner.manifests.leader_worker_set import LEADER
from planner.manifests.pod import metadata, selector
from planner.manifests.server import RenderOptions, Server


def disruption_budget(server: Server, options: RenderOptions) -> dict[str, Any]:
    """Of groups, their leaders: losing one pod loses the group. A single replica can be drained too."""
    chosen = {**selector(server), **(LEADER if server.nodes > 1 else {})}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(server.name, server, options),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": chosen}},
    }
