"""The routes of a gateway (gateway.networking.k8s.io/v1): each path to the Service that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.manifests.server import Engine, RenderOptions
from planner.manifests.service import PORT


@dataclass(frozen=True, kw_only=True)
class RouteTo:
    """A path and the server behind it."""

    path: str
    server: str
    model: str
    engine: Engine


def http_route(gateway: str, routes: Sequence[RouteTo], options: RenderOptions) -> dict[str, Any]:
    """Longer paths first, as the gateway matches them. Triton answers KServe's protocol: paths are rewritten to it."""
    fields: dict[str, Any] = {"name": f"{gateway}-routes"[:63].rstrip("-")}
    if options.namespace:
        fields["namespace"] = options.namespace
    fields["labels"] = {"app.kubernetes.io/managed-by": "replicast"}
    ordered = sorted(routes, key=lambda each: (-len(each.path), each.path))
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": fields,
        "spec": {"parentRefs": [{"name": gateway}], "rules": [_rule(each) for each in ordered]},
    }


def gateway(name: str, gateway_class: str, options: RenderOptions) -> dict[str, Any]:
    """The Gateway itself, with one HTTP listener."""
    fields: dict[str, Any] = {"name": name}
    if options.namespace:
        fields["namespace"] = options.namespace
    fields["labels"] = {"app.kubernetes.io/managed-by": "replicast"}
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": fields,
        "spec": {"gatewayClassName": gateway_class, "listeners": [listener]},
    }


def _rule(route: RouteTo) -> dict[str, Any]:
    fields: dict[str, Any] = {"matches": [{"path": {"type": "PathPrefix", "value": route.path}}]}
    if route.engine != "vllm":
        verb = "generate" if route.engine == "triton-trtllm" else "infer"
        model = "ensemble" if route.engine == "triton-trtllm" else route.model
        rewritten = {"type": "ReplaceFullPath", "replaceFullPath": f"/v2/models/{model}/{verb}"}
        fields["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": rewritten}}]
    fields["backendRefs"] = [{"name": route.server, "port": PORT}]
    # A stream is as long as its answer: the engine, not the gateway, ends it.
    fields["timeouts"] = {"request": "0s"}
    return fields
