"""A topology's plan as data in SI units: what `-o json`, `yaml` and `csv` print, and `planner render` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.objective import METRICS, Objective
from planner.plan import STATISTICS
from planner.service import ServiceAnswer
from planner.serving import serving_fields
from planner.topology import Reduced, RoutePlan, TopologyPlan
from planner.topology_budget import cost_per_h
from planner.topology_nodes import PoolUse, route_gpus_paid


def document(plan: TopologyPlan) -> dict[str, Any]:
    """The whole plan."""
    topology = plan.topology
    return {
        "kind": "TopologyPlan",
        "feasible": plan.feasible,
        "reason": reason(plan),
        "remedy": remedy(plan),
        "gateway": {"name": topology.gateway, "overhead": topology.overhead_s},
        "routes": [_route(each, plan) for each in plan.routes],
        "nodes": [_pool(use, plan.routes) for use in plan.uses.values()],
        "totals": totals(plan),
        "budget": {"holds": plan.within_budget, "limits": [limit.as_dict() for limit in plan.limits]},
        "best_within_budget": None if plan.reduced is None else [_reduced(each) for each in plan.reduced],
        "assumptions": list(assumptions(plan)),
    }


def rows(plan: TopologyPlan) -> list[dict[str, Any]]:
    """One row a route and one of them all, for CSV."""
    routes = [_route(each, plan) for each in plan.routes]
    return [*routes, {"name": "all", "feasible": plan.feasible, "reason": reason(plan), **_totals_row(plan)}]


def reason(plan: TopologyPlan) -> str:
    """Why there is no plan; empty where there is one."""
    said = [f"route {each.route.name}: {each.reason}" for each in plan.routes if not each.feasible]
    over = [limit.told for limit in plan.limits if not limit.holds]
    return "; ".join([*said, *([f"the budget does not hold: {', '.join(over)}"] if over else [])])


def remedy(plan: TopologyPlan) -> str:
    """What would make it feasible."""
    said = [f"route {each.route.name}: {each.remedy}" for each in plan.routes if each.remedy]
    if not plan.within_budget:
        said.append(_budget_remedy(plan))
    return "; ".join(said)


def _budget_remedy(plan: TopologyPlan) -> str:
    raised = "raise the budget to what is needed"
    if plan.reduced is None:
        return f"{raised}: not even the minReplicas of every route fit"
    short = [each for each, full in zip(plan.reduced, plan.routes, strict=True) if each.at.replicas < full.replicas]
    ways = [f"{each.route.name} {_loosened(each)}" for each in short]
    return f"{raised}, or within it {'; '.join(ways)}"


def _loosened(each: Reduced) -> str:
    replicas = f"on {each.at.replicas} replica{'' if each.at.replicas == 1 else 's'}"
    if not each.at.stable:
        return (
            f"{replicas} carries {each.carried_share:.0%} of its load at all, {each.within_objectives_share:.0%} "
            "within its objectives"
        )
    broken = [o for o in each.route.objectives if not each.at.meets(o)]
    to = ", ".join(f"{o.metric}:{o.statistic} to {_rounded_up(each.at.value(o)):g} s" for o in broken)
    return f"{replicas} loosens {to or 'nothing'}, or carries {each.within_objectives_share:.0%} of its load"


def _rounded_up(seconds: float | None) -> float:
    """To three digits, never below."""
    import math

    assert seconds is not None
    unit = 10.0 ** (math.floor(math.log10(seconds)) - 2)
    return float(f"{math.ceil(seconds / unit - 1e-9) * unit:.12g}")


def _route(plan: RoutePlan, whole: TopologyPlan) -> dict[str, Any]:
    route, profile = plan.route, plan.route.profile
    gpu = profile.spec.gpu
    gpus = plan.replicas * gpu.per_replica
    fewer = plan.one_fewer
    return {
        "name": route.name,
        "path": route.path,
        "profile": profile.name,
        "replicas": plan.replicas,
        "gpus": gpus,
        "gpu_type": gpu.type,
        "pods": plan.replicas * gpu.nodes_per_replica,
        "nodes": plan.replicas * gpu.nodes_per_replica if gpu.nodes_per_replica > 1 else None,
        "feasible": plan.feasible,
        "reason": plan.reason,
        "remedy": plan.remedy,
        "utilization": plan.at.utilization,
        "stable": plan.at.stable,
        "priority": route.priority,
        "min_replicas": route.min_replicas,
        "max_replicas": route.max_replicas,
        "qps": route.service.arrivals.rate_per_s,
        "cost": {"per_hour": route_cost(whole, plan)},
        "objectives": [_objective(each, plan.at) for each in route.objectives],
        "binding": _binding(plan),
        "predicted": predicted(plan.at, route.objectives),
        "one_fewer": None
        if fewer is None
        else {
            "replicas": fewer.replicas,
            "stable": fewer.stable,
            "utilization": fewer.utilization,
            "violates": [str(each) for each in route.objectives if not fewer.meets(each)],
            "predicted": predicted(fewer, route.objectives),
        },
        "assumptions": list(plan.fields.get("assumptions", ())),
        "warnings": list(plan.fields.get("warnings", ())),
        "serving": serving_fields(profile),
    }


def _objective(objective: Objective, at: ServiceAnswer) -> dict[str, Any]:
    value = at.value(objective)
    return {
        "objective": str(objective),
        "limit": objective.limit_s,
        "predicted": value,
        "met": at.meets(objective),
        "margin": None if value is None else 1.0 - value / objective.limit_s,
    }


def _binding(plan: RoutePlan) -> dict[str, Any]:
    binds = binding(plan)
    return {"constraint": constraint(plan), "objective": str(binds), "predicted": plan.at.value(binds)}


def binding(plan: RoutePlan) -> Objective:
    """The objective nearest to its limit: of one fewer where that breaks one, else of the plan."""
    fewer, objectives = plan.one_fewer, plan.route.objectives
    broken = [each for each in objectives if fewer is not None and not fewer.meets(each)]

    def share(objective: Objective) -> float:
        value = plan.at.value(objective)
        return float("inf") if value is None else value / objective.limit_s

    return max(broken or objectives, key=share)


def constraint(plan: RoutePlan) -> str:
    """What made the count: `throughput`, `objective`, or the bounds of the file."""
    fewer = plan.one_fewer
    if not plan.feasible:
        return "none"
    if fewer is None or not fewer.stable:
        return "objective" if fewer is None else "throughput"
    return "minReplicas" if all(fewer.meets(each) for each in plan.route.objectives) else "objective"


def predicted(at: ServiceAnswer, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Every metric's statistics, and those that objectives ask for; null when unstable."""
    found: dict[str, Any] = {}
    for metric in [each for each in METRICS if each in at.laws] or dict.fromkeys(o.metric for o in objectives):
        law = at.laws.get(metric)
        asked = [(o.statistic, o.quantile) for o in objectives if o.metric == metric]
        found[metric] = {
            name: None if law is None else law.statistic(q) for name, q in dict([*STATISTICS, *asked]).items()
        }
    return found


def route_cost(whole: TopologyPlan, plan: RoutePlan) -> float | None:
    """By its own GPU price, or its part of the pool's nodes by GPUs."""
    use, gpus = whole.uses[plan.route.gpu_type], plan.replicas * plan.route.profile.spec.gpu.per_replica
    price = plan.route.service.gpu_price_per_h
    if use.pool.price_per_h is None:
        return None if price is None else route_gpus_paid(plan.route, plan.replicas, use.pool) * price
    return None if use.cost_per_h is None else use.cost_per_h * gpus / use.gpus


def _pool(use: PoolUse, routes: Sequence[RoutePlan]) -> dict[str, Any]:
    mine = [plan for plan in routes if plan.route.gpu_type == use.pool.gpu]
    layout = [] if use.packing is None else placements(use, mine)
    return {
        "gpu": use.pool.gpu,
        "gpus_per_node": use.pool.gpus_per_node,
        "nodes": use.nodes,
        "lower_bound": use.lower_bound,
        "optimal": None if use.packing is None else use.packing.optimal,
        "whole_nodes": use.whole_nodes,
        "gpus": use.gpus,
        "idle_gpus": use.idle_gpus,
        "cost": {"per_hour": use.cost_per_h, "node_per_hour": use.pool.price_per_h},
        "placements": layout,
    }


def placements(use: PoolUse, routes: Sequence[RoutePlan]) -> list[dict[str, Any]]:
    """Which replicas stand together on how many nodes; replicas of one size are handed out in the routes' order."""
    assert use.packing is not None
    left = {plan.route.name: plan.replicas for plan in routes if plan.route.profile.spec.gpu.nodes_per_replica == 1}
    size = {plan.route.name: plan.route.profile.spec.gpu.per_replica for plan in routes}
    found: list[dict[str, Any]] = []
    for pattern, nodes in use.packing.patterns:
        slots = dict(zip(use.packing.sizes, pattern, strict=True))
        rest = nodes
        while rest:
            here = _next_node(slots, left, size)
            alike = min([rest, *(left[name] // count for name, count in here.items())])
            for name, count in here.items():
                left[name] -= alike * count
            idle = use.packing.gpus_per_node - sum(size[name] * count for name, count in here.items())
            found.append({"nodes": alike, "replicas": here, "idle_gpus": idle})
            rest -= alike
    return found


def _next_node(slots: Mapping[int, int], left: Mapping[str, int], size: Mapping[str, int]) -> dict[str, int]:
    """Replicas by route on a node with so many places of each size: of each size those of the first routes."""
    here: dict[str, int] = {}
    for of_size, places in slots.items():
        free = places
        for name in [each for each in left if size[each] == of_size]:
            taken = min(free, left[name])
            free -= taken
            if taken:
                here[name] = taken
    return here


def totals(plan: TopologyPlan) -> dict[str, Any]:
    """Of all routes."""
    uses = plan.uses.values()
    nodes, idle = [use.nodes for use in uses], [use.idle_gpus for use in uses]
    return {
        "replicas": sum(each.replicas for each in plan.routes),
        "pods": sum(each.replicas * each.route.profile.spec.gpu.nodes_per_replica for each in plan.routes),
        "gpus": sum(use.gpus for use in uses),
        "gpus_by_type": {use.pool.gpu: use.gpus for use in uses},
        "nodes": None if None in nodes else sum(count or 0 for count in nodes),
        "idle_gpus": None if None in idle else sum(count or 0 for count in idle),
        "cost": {"per_hour": cost_per_h(plan.uses)},
    }


def _totals_row(plan: TopologyPlan) -> dict[str, Any]:
    return {name: value for name, value in totals(plan).items() if name != "gpus_by_type"}


def _reduced(each: Reduced) -> dict[str, Any]:
    at, objectives = each.at, each.route.objectives
    return {
        "name": each.route.name,
        "replicas": at.replicas,
        "gpus": at.replicas * each.route.profile.spec.gpu.per_replica,
        "stable": at.stable,
        "utilization": at.utilization,
        "loosen": [
            {"objective": str(o), "limit": o.limit_s, "predicted": at.value(o)} for o in objectives if not at.meets(o)
        ],
        "carried_share": each.carried_share,
        "within_objectives_share": each.within_objectives_share,
        "predicted": predicted(at, objectives),
    }


def assumptions(plan: TopologyPlan) -> list[str]:
    """What the whole plan assumes."""
    notes = ["routes share nodes and the budget, never a GPU: `planner pack` puts several models on one"]
    if plan.topology.overhead_s:
        notes.append(
            f"the gateway adds {plan.topology.overhead_s * 1e3:g} ms to every ttft and e2e, and is never a bottleneck"
        )
    if any(use.pool.price_per_h is not None for use in plan.uses.values()):
        notes.append("nodes are paid whole; a route's cost is its part of them by GPUs")
    return notes
