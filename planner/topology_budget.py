"""Whether a budget holds, by how much it does not, and how many replicas of each route fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.topology_file import Topology
from planner.topology_nodes import Counts, PoolUse, pool_uses


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One line of the budget, and what is needed of it."""

    what: str
    """`perHour`, `gpus` or `nodes`."""
    gpu: str | None
    limit: float
    needs: float

    @property
    def holds(self) -> bool:
        """Whether it is enough; cents of rounding do not count."""
        return self.needs <= self.limit * (1.0 + 1e-9)

    @property
    def told(self) -> str:
        """`$72.00 an hour of $60.00 ($12.00 too much)`, `14 GPUs A100-SXM4-80GB of 16`."""
        over = self.needs - self.limit
        if self.what == "perHour":
            more = "" if self.holds else f" (${over:,.2f} too much)"
            return f"${self.needs:,.2f} an hour of ${self.limit:,.2f}{more}"
        noun = "GPU" if self.what == "gpus" else "node"
        more = "" if self.holds else f" ({over:,.0f} too many)"
        return f"{self.needs:,.0f} {noun}{'' if self.needs == 1 else 's'} {self.gpu} of {self.limit:,.0f}{more}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "what": self.what,
            "gpu": self.gpu,
            "limit": self.limit,
            "needs": self.needs,
            "over": max(0.0, self.needs - self.limit) if not self.holds else 0.0,
            "holds": self.holds,
        }


def cost_per_h(uses: Mapping[str, PoolUse]) -> float | None:
    """Of all pools; None where one has no price."""
    costs = [use.cost_per_h for use in uses.values()]
    return None if any(cost is None for cost in costs) else sum(cost or 0.0 for cost in costs)


def limits(topology: Topology, uses: Mapping[str, PoolUse]) -> tuple[Limit, ...]:
    """Every line of the budget, and the count of every pool."""
    budget = topology.budget
    found = []
    cost = cost_per_h(uses)
    if budget.per_hour is not None and cost is not None:
        found.append(Limit(what="perHour", gpu=None, limit=budget.per_hour, needs=cost))
    for kind, use in uses.items():
        if kind in budget.gpus:
            found.append(Limit(what="gpus", gpu=kind, limit=budget.gpus[kind], needs=use.gpus))
        counts = [n for n in (budget.nodes.get(kind), use.pool.count) if n is not None]
        if counts and use.nodes is not None:
            found.append(Limit(what="nodes", gpu=kind, limit=min(counts), needs=use.nodes))
    return tuple(found)


def holds(topology: Topology, counts: Counts) -> bool:
    """Whether so many replicas fit the budget."""
    return all(limit.holds for limit in limits(topology, pool_uses(topology, counts)))


def most_that_fit(topology: Topology, wanted: Counts) -> dict[str, int] | None:
    """Replicas by priority: each route gets as many as fit beside those before it and the least of those after it.

    Routes of equal priority come in the order of the file. None where not even the least of each fit.
    """
    counts = {route.name: min(route.min_replicas, wanted[route.name]) for route in topology.routes}
    if not holds(topology, counts):
        return None
    for route in sorted(topology.routes, key=lambda each: -each.priority):
        fits, over = counts[route.name], wanted[route.name] + 1
        while over - fits > 1:
            middle = (fits + over) // 2
            if holds(topology, {**counts, route.name: middle}):
                fits = middle
            else:
                over = middle
        counts[route.name] = fits
    return counts
