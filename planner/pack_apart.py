"""Which pods of a packing must not stand on one node, so that no GPU holds what the plan keeps apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from planner.kubernetes_names import dns_label
from planner.manifests.server import Server
from planner.plan_fields import PackDocument, PackedModel

_LOOSE = (
    "the plan keeps {} apart on GPUs of one node: Kubernetes cannot choose the GPU of a node, so pods are kept on "
    "nodes of their own only where there is room"
)


def kept_apart(servers: Sequence[Server], plan: PackDocument) -> list[dict[str, Any]]:
    """Fields of each server: apart from which models it must stand, or rather stands.

    By nodes, the finest that Kubernetes schedules by. `spread: node` always must. Of what a plan keeps apart by GPU,
    pods with GPUs of their own are apart anyway; of those on shared GPUs and slices, the models that the plan has on
    no node together must, and the others rather do.
    """
    models = {dns_label(model.name): model for model in plan.models}
    together = _on_one_node(plan)
    found = []
    for server in servers:
        must, rather = set[str](), set[str]()
        for name in (each.name for each in server.models):
            if models[name].anti_affinity.spread == "node":
                must.add(name)
            if server.gpu_resource != "nvidia.com/gpu":
                for other in _apart(models[name], plan.models):
                    (rather if tuple(sorted((name, other))) in together else must).add(other)
        rather -= must
        fields: dict[str, Any] = {"apart_from": tuple(sorted(must)), "rather_apart_from": tuple(sorted(rather))}
        if rather:
            names = " and ".join(dict.fromkeys([server.name, *sorted(rather)]))
            replicas = names if len(rather - {server.name}) else f"replicas of {names}"
            fields["notes"] = (*server.notes, _LOOSE.format(replicas))
        found.append(fields)
    return found


def _apart(model: PackedModel, models: Sequence[PackedModel]) -> set[str]:
    """Those that may not be on a GPU of the model, as it says or they do."""
    found = {dns_label(other) for other in model.anti_affinity.not_with}
    found |= {dns_label(other.name) for other in models if model.name in other.anti_affinity.not_with}
    return found | ({dns_label(model.name)} if model.anti_affinity.spread == "gpu" else set())


def _on_one_node(plan: PackDocument) -> set[tuple[str, str]]:
    """Pairs of models, and models twice, on one node of the plan."""
    nodes: dict[str, Counter[str]] = {}
    for gpu in plan.placement:
        nodes.setdefault(gpu.node or "", Counter()).update(dns_label(each.model) for each in gpu.replicas)
    found: set[tuple[str, str]] = set()
    for here in nodes.values():
        names = sorted(here)
        found |= {(one, other) for one in names for other in names if one < other}
        found |= {(name, name) for name in names if here[name] > 1}
    return found
