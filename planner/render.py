"""From a plan to Kubernetes manifests: which files there are, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from planner.manifests.autoscaler import autoscaler
from planner.manifests.deployment import deployment
from planner.manifests.disruption_budget import disruption_budget
from planner.manifests.http_route import gateway, http_route
from planner.manifests.leader_worker_set import leader_worker_set
from planner.manifests.server import RenderOptions, Server
from planner.manifests.service import model_service, service
from planner.manifests.triton_repository import repository
from planner.plan_reader import ReadPlan

Manifest = dict[str, Any]


def manifests(plan: ReadPlan, options: RenderOptions) -> dict[str, list[Manifest]]:
    """By the name of the file, in the order of the plan."""
    files = {f"{server.name}.yaml": _of_server(server, options) for server in plan.servers}
    shared = [server for server in plan.servers if len(server.models) > 1]
    several: dict[str, Server] = {model.name: server for server in shared for model in server.models}
    if several:
        own = {server.name for server in plan.servers}
        services = [model_service(name, server, options) for name, server in several.items() if name not in own]
        files["models.yaml"] = services
    if plan.routes:
        assert plan.gateway is not None
        behind = [http_route(plan.gateway, plan.routes, options)]
        if options.gateway_class is not None:
            behind.insert(0, gateway(plan.gateway, options.gateway_class, options))
        files["gateway.yaml"] = behind
    return {name: found for name, found in files.items() if found}


def _of_server(server: Server, options: RenderOptions) -> list[Manifest]:
    found = [repository(server, options)] if server.engine == "triton" else []
    found.append(leader_worker_set(server, options) if server.nodes > 1 else deployment(server, options))
    found += [service(server, options), disruption_budget(server, options)]
    if options.autoscaler:
        found.append(autoscaler(server, options))
    return found


def to_yaml(documents: Sequence[Manifest]) -> str:
    """A stream of YAML documents; quoting is the library's, so that no name can break out of its place."""
    texts = (yaml.dump(each, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120) for each in documents)
    return "---\n".join(texts)


class _Plain(yaml.SafeDumper):
    """Safe, without anchors, and with texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _text)
