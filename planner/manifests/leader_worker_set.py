"""A LeaderWorkerSet: replicas that are groups of pods, one a node (leaderworkerset.x-k8s.io)."""

from __future__ import annotations

from typing import Any

from planner.manifests.pod import metadata, pod_template
from planner.manifests.server import RenderOptions, Server

LEADER = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
"""The label that only leaders have with this value; requests go to them."""


def leader_worker_set(server: Server, options: RenderOptions) -> dict[str, Any]:
    """A group is whole or not there: when one of its pods fails all start anew.

    Nothing but its GPUs keeps a pod from sharing a node: two of a group stand on one where it has twice as many.
    """
    template = {
        "size": server.nodes,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": pod_template(server, options, role="leader"),
        "workerTemplate": pod_template(server, options, role="worker"),
    }
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": metadata(server.name, server, options, server.all_notes),
        "spec": {
            "replicas": server.replicas,
            "startupPolicy": "LeaderCreated",
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"maxUnavailable": 1, "maxSurge": 0},
            },
            "leaderWorkerTemplate": template,
        },
    }
