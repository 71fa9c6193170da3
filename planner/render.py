"""From a plan to Kubernetes manifests: which files there are, and what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import yaml

from models.errors import InvalidInput
from planner.manifests.autoscaler import autoscaler
from planner.manifests.deployment import deployment
from planner.manifests.disruption_budget import disruption_budget
from planner.manifests.http_route import gateway, http_routes, route_notes
from planner.manifests.leader_worker_set import leader_worker_set
from planner.manifests.server import RenderOptions, Server
from planner.manifests.service import model_service, service
from planner.manifests.triton_repository import repository
from planner.plan_reader import ReadPlan

Manifest = dict[str, Any]


MODELS_FILE, GATEWAY_FILE = "models.services.yaml", "gateway.routes.yaml"
"""No server's file: a DNS label has no dot."""


def manifests(plan: ReadPlan, options: RenderOptions) -> dict[str, list[Manifest]]:
    """By the name of the file, in the order of the plan. Raises InvalidInput where two objects have one name."""
    by_model = _services_of_models(plan.servers)
    found = [(f"{server.name}.yaml", _of_server(server, options, by_model.keys())) for server in plan.servers]
    found.append((MODELS_FILE, [model_service(name, server, options) for name, server in by_model.items()]))
    if plan.routes:
        assert plan.gateway is not None
        behind = http_routes(plan.gateway, plan.routes, options)
        if options.gateway_class is not None:
            behind.insert(0, gateway(plan.gateway, options.gateway_class, options))
        found.append((GATEWAY_FILE, behind))
    files = {name: documents for name, documents in found if documents}
    _require_distinct([each for _, documents in found for each in documents])
    assert sum(map(len, files.values())) == sum(len(documents) for _, documents in found), "a file was written twice"
    return files


def notes(plan: ReadPlan) -> list[str]:
    """What who applies the manifests should know, each once."""
    found = [f"{server.name}: {note}" for server in plan.servers for note in server.all_notes]
    return list(dict.fromkeys([*found, *route_notes(plan.routes)]))


def _require_distinct(documents: Sequence[Manifest]) -> None:
    named = Counter((each["kind"], each["metadata"]["name"]) for each in documents)
    twice = next((each for each, times in named.items() if times > 1), None)
    if twice is not None:
        raise InvalidInput(f"the plan makes two objects {twice[0]} {twice[1]!r}", remedy="rename a model of the plan")


def _services_of_models(servers: Sequence[Server]) -> dict[str, Server]:
    """Models that several servers serve, or that share one: their Service has the pods of all of them."""
    serving: dict[str, list[Server]] = {}
    for server in servers:
        for model in server.models:
            serving.setdefault(model.name, []).append(server)
    return {name: them[0] for name, them in serving.items() if len(them) > 1 or len(them[0].models) > 1}


def _of_server(server: Server, options: RenderOptions, by_model: Collection[str]) -> list[Manifest]:
    found = [repository(server, options)] if server.engine == "triton" else []
    found.append(leader_worker_set(server, options) if server.nodes > 1 else deployment(server, options))
    if server.name not in by_model:
        found.append(service(server, options))
    found.append(disruption_budget(server, options))
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
