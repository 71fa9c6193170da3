"""The Service of a server, and of each model of a server that has several."""

from __future__ import annotations

from typing import Any

from planner.manifests.leader_worker_set import LEADER
from planner.manifests.pod import metadata, selector
from planner.manifests.server import RenderOptions, Server

PORT = 80


def service(server: Server, options: RenderOptions) -> dict[str, Any]:
    """Port 80 to the engine's HTTP port, and the others by their names; of a group, its leader."""
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]
    if server.engine != "vllm":
        ports += [
            {"name": "grpc", "port": 8001, "targetPort": "grpc"},
            {"name": "metrics", "port": 8002, "targetPort": "metrics"},
        ]
    chosen = {**selector(server), **(LEADER if server.nodes > 1 else {})}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(server.name, server, options),
        "spec": {"selector": chosen, "ports": ports},
    }


def model_service(model: str, server: Server, options: RenderOptions) -> dict[str, Any]:
    """All servers that serve a model, where models share them."""
    fields: dict[str, Any] = {"name": model}
    if options.namespace:
        fields["namespace"] = options.namespace
    fields["labels"] = {"app.kubernetes.io/name": model, "app.kubernetes.io/managed-by": "replicast"}
    spec = {**service(server, options)["spec"], "selector": {f"model.replicast.dev/{model}": "true"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": fields, "spec": spec}
