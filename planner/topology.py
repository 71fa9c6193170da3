"""Several services behind one gateway, sized together under one budget.

Routes share nodes and money, not GPUs: each is sized by itself (`planner.service`), their replicas are packed on nodes
together, and where the budget does not hold, it is told what of each route fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import NoFeasiblePlan
from models.objective import Objective
from planner.service import Service, ServiceAnswer
from planner.topology_budget import Limit, holds, limits, most_that_fit
from planner.topology_file import Route, Topology
from planner.topology_nodes import PoolUse, pool_uses
from planner.units import format_seconds

_DELAYED = ("ttft", "e2e")
"""Metrics that the gateway adds its overhead to; gaps between tokens and the wait in the engine are not its."""
_IDLE, _CLOSE = 1e-3, 1.005


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """One route alone: its least replicas, or why there are none."""

    route: Route
    replicas: int
    """The least that meet every objective; where none do, or more than allowed, those that it is predicted at."""
    at: ServiceAnswer
    one_fewer: ServiceAnswer | None
    reason: str = ""
    """Empty where every objective holds."""
    remedy: str = ""
    fields: Mapping[str, Any]
    """What `planner size -o json` says of its engine: assumptions and warnings among others."""

    @property
    def feasible(self) -> bool:
        """Whether every objective holds."""
        return not self.reason


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """A route on as many replicas as the budget leaves it."""

    route: Route
    at: ServiceAnswer
    carried_share: float
    """Of the load, what these replicas can serve at all."""
    within_objectives_share: float
    """Of the load, what they serve within every objective."""


@dataclass(frozen=True, kw_only=True)
class TopologyPlan:
    """The routes, what they take together, and whether the budget holds."""

    topology: Topology
    routes: tuple[RoutePlan, ...]
    uses: Mapping[str, PoolUse]
    limits: tuple[Limit, ...]
    reduced: tuple[Reduced, ...] | None
    """What fits a budget that does not hold; None where it holds, or where nothing fits."""

    @property
    def within_budget(self) -> bool:
        """Whether every line of the budget holds."""
        return all(limit.holds for limit in self.limits)

    @property
    def feasible(self) -> bool:
        """Whether every objective and the budget hold."""
        return self.within_budget and all(route.feasible for route in self.routes)


def plan_topology(topology: Topology) -> TopologyPlan:
    """The plan, feasible or not. Raises InvalidInput where a question means nothing."""
    routes = tuple(_plan_route(route, topology.overhead_s) for route in topology.routes)
    wanted = {plan.route.name: plan.replicas for plan in routes}
    uses = pool_uses(topology, wanted)
    reduced = None
    if not holds(topology, wanted):
        counts = most_that_fit(topology, wanted)
        if counts is not None:
            reduced = tuple(_reduced(plan, counts[plan.route.name], topology.overhead_s) for plan in routes)
    return TopologyPlan(topology=topology, routes=routes, uses=uses, limits=limits(topology, uses), reduced=reduced)


def behind_gateway(objectives: Sequence[Objective], overhead_s: float) -> tuple[Objective, ...] | None:
    """The limits that are left to the engine; None where the gateway alone takes longer than one."""
    found = []
    for each in objectives:
        limit = each.limit_s - (overhead_s if each.metric in _DELAYED else 0.0)
        if limit <= 0.0:
            return None
        found.append(
            each if limit == each.limit_s else Objective(metric=each.metric, quantile=each.quantile, limit_s=limit)
        )
    return tuple(found)


def before_gateway(answer: ServiceAnswer, overhead_s: float) -> ServiceAnswer:
    """The answer as clients see it: later by the gateway's overhead."""
    laws = {metric: law.later(overhead_s) if metric in _DELAYED else law for metric, law in answer.laws.items()}
    return ServiceAnswer(replicas=answer.replicas, stable=answer.stable, utilization=answer.utilization, laws=laws)


def _plan_route(route: Route, overhead_s: float) -> RoutePlan:
    inner = behind_gateway(route.objectives, overhead_s)
    least = _least_stable(route.service)
    if inner is None:
        return _without(route, least, overhead_s, "the gateway's overhead alone breaks an objective", "raise its limit")
    try:
        plan = route.service.size(inner)
    except NoFeasiblePlan as error:
        told = f"{error} (the gateway's {format_seconds(overhead_s)} taken off)" if overhead_s else str(error)
        return _without(route, least, overhead_s, told, error.remedy)
    replicas = max(plan.replicas, route.min_replicas)
    reason, remedy = "", ""
    if route.max_replicas is not None and plan.replicas > route.max_replicas:
        reason = f"{plan.replicas:,} replicas are needed, maxReplicas is {route.max_replicas:,}"
        remedy, replicas = f"raise maxReplicas to {plan.replicas:,}, or loosen an objective", route.max_replicas
    at = plan.at if replicas == plan.replicas else route.service.predict(replicas)
    fewer = plan.one_fewer
    if replicas != plan.replicas:
        fewer = route.service.predict(replicas - 1) if replicas > 1 else None
    return RoutePlan(
        route=route,
        replicas=replicas,
        at=before_gateway(at, overhead_s),
        one_fewer=None if fewer is None else before_gateway(fewer, overhead_s),
        reason=reason,
        remedy=remedy,
        fields=plan.fields,
    )


def _without(route: Route, replicas: int, overhead_s: float, reason: str, remedy: str) -> RoutePlan:
    """A route that no number of replicas serves as asked: on those that its load needs."""
    count = max(route.min_replicas, replicas if route.max_replicas is None else min(replicas, route.max_replicas))
    at = before_gateway(route.service.predict(count), overhead_s)
    return RoutePlan(route=route, replicas=count, at=at, one_fewer=None, reason=reason, remedy=remedy, fields={})


def _least_stable(service: Service) -> int:
    return math.floor(service.arrivals.rate_per_s / service.capacity_per_s) + 1


def _reduced(plan: RoutePlan, replicas: int, overhead_s: float) -> Reduced:
    route = plan.route
    if replicas == plan.replicas:
        return Reduced(
            route=route,
            at=plan.at,
            carried_share=_carried(plan.at),
            within_objectives_share=1.0 if plan.feasible else _share_within(route, replicas, overhead_s),
        )
    at = before_gateway(route.service.predict(replicas), overhead_s)
    return Reduced(
        route=route,
        at=at,
        carried_share=_carried(at),
        within_objectives_share=_share_within(route, replicas, overhead_s),
    )


def _carried(at: ServiceAnswer) -> float:
    return 1.0 if at.stable else min(1.0, 1.0 / at.utilization)


def _share_within(route: Route, replicas: int, overhead_s: float) -> float:
    """The highest share of the load that so many replicas serve within every objective, to 0.5 %."""
    inner = behind_gateway(route.objectives, overhead_s)
    rate = route.service.arrivals.rate_per_s
    if inner is None:
        return 0.0

    def meets(share: float) -> bool:
        found = route.service.at_rate(share * rate).predict(replicas)
        return all(found.meets(each) for each in inner)

    low, high = _IDLE, min(1.0, route.service.capacity_per_s * replicas / rate)
    if meets(high):
        return high
    if not meets(low):
        return 0.0
    while high / low > _CLOSE:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low
