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


_MOST_RULES = 16
"""Of one HTTPRoute, by its definition (maxItems of spec.rules)."""


def http_routes(gateway: str, routes: Sequence[RouteTo], options: RenderOptions) -> list[dict[str, Any]]:
    """As many as hold every rule. Longer paths first, as the gateway matches them, also between HTTPRoutes.

    Triton answers KServe's protocol: paths are rewritten to it.
    """
    ordered = sorted(routes, key=lambda each: (-len(each.path), each.path))
    parts = [ordered[start : start + _MOST_RULES] for start in range(0, len(ordered), _MOST_RULES)]
    return [_http_route(gateway, part, number, options) for number, part in enumerate(parts, start=1)]


def _http_route(gateway: str, routes: Sequence[RouteTo], number: int, options: RenderOptions) -> dict[str, Any]:
    last = "" if number == 1 else f"-{number}"
    fields: dict[str, Any] = {"name": f"{gateway}-routes{last}"}
    if options.namespace:
        fields["namespace"] = options.namespace
    fields["labels"] = {"app.kubernetes.io/managed-by": "replicast"}
    notes = route_notes(routes)
    if notes:
        fields["annotations"] = {"replicast.dev/notes": "\n".join(notes)}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": fields,
        "spec": {"parentRefs": [{"name": gateway}], "rules": [_rule(each) for each in routes]},
    }


def route_notes(routes: Sequence[RouteTo]) -> list[str]:
    """Where clients must speak another protocol than the path suggests."""
    return [
        f"{each.path} is rewritten to {_rewritten(each)}: Triton answers KServe's protocol, so clients that send "
        "OpenAI's requests there get an error"
        for each in routes
        if each.engine != "vllm"
    ]


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
        rewritten = {"type": "ReplaceFullPath", "replaceFullPath": _rewritten(route)}
        fields["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": rewritten}}]
    fields["backendRefs"] = [{"name": route.server, "port": PORT}]
    # A stream is as long as its answer: the engine, not the gateway, ends it.
    fields["timeouts"] = {"request": "0s"}
    return fields


def _rewritten(route: RouteTo) -> str:
    if route.engine == "triton-trtllm":
        return "/v2/models/ensemble/generate"
    return f"/v2/models/{route.model}/infer"
