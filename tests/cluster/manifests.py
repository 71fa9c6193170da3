"""Objects as a user of Kubernetes would write them, with what a test sets."""

from __future__ import annotations

from typing import Any

POOL = "test.replicast.dev/pool"
READY_AFTER = "test.replicast.dev/ready-after"
CRASH_LOOPING = "test.replicast.dev/crash-looping"
GPU = "nvidia.com/gpu"

Manifest = dict[str, Any]


def gpu_node(name: str, *, pool: str, gpus: int) -> Manifest:
    """A node that KWOK keeps alive, for pods of one pool only."""
    size = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    return {
        "metadata": {"name": name, "labels": {POOL: pool}, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [{"key": POOL, "value": pool, "effect": "NoSchedule"}]},
        "status": {"capacity": size, "allocatable": size},
    }


def deployment(
    name: str, *, pool: str, replicas: int = 1, gpus: int = 1, annotations: dict[str, str] | None = None
) -> Manifest:
    """A model's Deployment, each pod with GPUs of a pool; KWOK reads the pods' annotations."""
    labels = {"app": name}
    container = {"name": "engine", "image": "engine", "resources": {"limits": {GPU: str(gpus)}}}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations or {}},
                "spec": {
                    "containers": [container],
                    "nodeSelector": {POOL: pool},
                    "tolerations": [{"key": POOL, "operator": "Exists"}],
                    "terminationGracePeriodSeconds": 0,
                },
            },
        },
    }


def autoscaler(deployment: str, *, least: int, most: int) -> Manifest:
    """An HPA on CPU."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return {
        "metadata": {"name": deployment},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }
