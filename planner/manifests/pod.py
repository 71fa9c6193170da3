"""The pod of a server: labels, GPUs, probes, and a peaceful end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.manifests import triton, vllm
from planner.manifests.server import DRAIN_S, RenderOptions, Server

_PRODUCTS = {
    "A100-PCIE-80GB": "NVIDIA-A100-80GB-PCIe",
    "A100-SXM4-80GB": "NVIDIA-A100-SXM4-80GB",
    "A10G-24GB": "NVIDIA-A10G",
    "A30-24GB": "NVIDIA-A30",
    "B200-SXM-180GB": "NVIDIA-B200",
    "H100-PCIE-80GB": "NVIDIA-H100-PCIe",
    "H100-SXM5-80GB": "NVIDIA-H100-80GB-HBM3",
    "H200-SXM5-141GB": "NVIDIA-H200",
    "L4-24GB": "NVIDIA-L4",
    "L40S-48GB": "NVIDIA-L40S",
}
"""Value of the node label nvidia.com/gpu.product (NVIDIA GPU Feature Discovery) by our name of the type."""


def labels(server: Server) -> dict[str, str]:
    """Of the server and everything that belongs to it; the first is what its pods are selected by."""
    return {
        "app.kubernetes.io/name": server.name,
        "app.kubernetes.io/component": server.engine,
        "app.kubernetes.io/managed-by": "replicast",
    }


def selector(server: Server) -> dict[str, str]:
    """What selects its pods."""
    return {"app.kubernetes.io/name": server.name}


def model_label(model: str) -> str:
    """The label of pods that serve a model, whichever server they belong to."""
    return f"model.replicast.dev/{model}"


def metadata(name: str, server: Server, options: RenderOptions, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Of an object that belongs to the server."""
    fields: dict[str, Any] = {"name": name}
    if options.namespace:
        fields["namespace"] = options.namespace
    fields["labels"] = labels(server)
    if notes:
        fields["annotations"] = {"replicast.dev/notes": "\n".join(notes)}
    return fields


def pod_template(server: Server, options: RenderOptions, *, role: str | None = None) -> dict[str, Any]:
    """The template; `role` is leader or worker in a group of pods, None for a pod that is a whole replica."""
    of_models = {model_label(model.name): "true" for model in server.models}
    engine = vllm if server.engine == "vllm" else triton
    container, volumes = engine.container(server, options, role=role)
    container["resources"] = {"requests": server.requests, "limits": {server.gpu_resource: server.gpus_per_pod}}
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if role != "worker":
        container |= _probes(server, engine.HEALTH)
    container.setdefault("lifecycle", {"preStop": {"exec": {"command": ["sleep", str(DRAIN_S)]}}})
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": server.grace_s,
        "automountServiceAccountToken": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **_scheduling(server, options),
        "containers": [container],
        "volumes": volumes,
    }
    if server.thread_percentage is None:  # under MPS the device plugin mounts the daemon's /dev/shm
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}})
        container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    return {"metadata": {"labels": {**labels(server), **of_models}}, "spec": spec}


def _probes(server: Server, health: Mapping[str, str]) -> dict[str, Any]:
    def get(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "http"}}

    return {
        "startupProbe": {**get(health["ready"]), "periodSeconds": 10, "failureThreshold": max(6, server.start_s // 10)},
        "readinessProbe": {**get(health["ready"]), "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**get(health["live"]), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _scheduling(server: Server, options: RenderOptions) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    product = _PRODUCTS.get(server.gpu_type)
    if options.select_nodes and product is not None:
        fields["nodeSelector"] = {"nvidia.com/gpu.product": product}
    fields["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    apart = _apart(server)
    if apart:
        fields["affinity"] = {"podAntiAffinity": apart}
    return fields


def _apart(server: Server) -> dict[str, Any]:
    """By the label of a model, which the pods of all its servers carry: so that it holds between servers too."""

    def term(model: str) -> dict[str, Any]:
        return {
            "labelSelector": {"matchLabels": {model_label(model): "true"}},
            "topologyKey": "kubernetes.io/hostname",
        }

    fields: dict[str, Any] = {}
    if server.apart_from:
        fields["requiredDuringSchedulingIgnoredDuringExecution"] = [term(model) for model in server.apart_from]
    if server.rather_apart_from:
        fields["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": 100, "podAffinityTerm": term(model)} for model in server.rather_apart_from
        ]
    return fields
