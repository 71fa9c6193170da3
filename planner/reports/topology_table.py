"""A topology's plan as a person reads it: a line a route, nodes, the budget, and what fits where it does not hold."""

from __future__ import annotations

from collections.abc import Sequence

from models.objective import Objective
from planner.objective import as_written
from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.service import ServiceAnswer
from planner.topology import Reduced, RoutePlan, TopologyPlan
from planner.topology_document import assumptions, binding, constraint, placements, remedy, route_cost, totals
from planner.topology_nodes import PoolUse
from planner.units import format_seconds, format_share


def topology_table(plan: TopologyPlan, paint: Paint = plain, width: int = WIDTH) -> str:
    """The answer of `planner size --topology`."""
    whole = totals(plan)
    cost = "" if whole["cost"]["per_hour"] is None else f", ${whole['cost']['per_hour']:,.2f} an hour"
    nodes = "" if whole["nodes"] is None else f" on {counted(whole['nodes'], 'node')}"
    head = f"{counted(whole['replicas'], 'replica')}, {counted(whole['gpus'], 'GPU')}{nodes}{cost}"
    lines = [
        f"{paint(head, 'good' if plan.feasible else 'bad')} behind gateway {plan.topology.gateway}",
        "",
        *_routes(plan, paint),
        "",
        *(line for each in plan.routes for line in _objectives(each, paint)),
        "",
        *(line for use in plan.uses.values() for line in _pool(use, plan, width)),
        *_budget(plan, paint, width),
    ]
    for title, notes in (("Assumed:", _assumed(plan)), (paint("Warnings:", "warn"), _warned(plan))):
        if notes:
            lines += ["", title, *(line for note in notes for line in wrapped(note, width, "  - ", "    "))]
    return "\n".join(lines) + "\n"


def _routes(plan: TopologyPlan, paint: Paint) -> list[str]:
    cells = [("route", "path", "engine", "replicas", "GPUs", "GPU type", "$ an hour", "utilisation", "binding")]
    for each in plan.routes:
        spec, cost = each.route.profile.spec, route_cost(plan, each)
        group = f" × {spec.gpu.nodes_per_replica} pods" if spec.gpu.nodes_per_replica > 1 else ""
        cells.append(
            (
                each.route.name,
                each.route.path,
                spec.engine,
                f"{each.replicas:,}{group}",
                f"{each.replicas * spec.gpu.per_replica:,}",
                spec.gpu.type,
                "—" if cost is None else f"{cost:,.2f}",
                format_share(each.at.utilization),
                _binds(each) if each.feasible else paint("no plan", "bad"),
            )
        )
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    right = {3, 4, 6, 7}
    return [
        "  ".join(
            [
                *(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=False))),
                row[-1],
            ]
        ).rstrip()
        for row in cells
    ]


def _binds(plan: RoutePlan) -> str:
    found = constraint(plan)
    return as_written(binding(plan)) if found == "objective" else found


def _objectives(plan: RoutePlan, paint: Paint) -> list[str]:
    lines = [f"{plan.route.name}: {'; '.join(_held(each, plan.at, paint) for each in plan.route.objectives)}"]
    fewer = plan.one_fewer
    if plan.reason:
        lines.append(f"  no plan: {plan.reason}; {plan.remedy}")
    elif fewer is None:
        lines.append("  one replica is the least there can be")
    elif not fewer.stable:
        arrives = f"{format_share(fewer.utilization)} of capacity"
        lines.append(
            f"  with {counted(fewer.replicas, 'replica')} the queue would grow for ever: {arrives} would arrive"
        )
    else:
        broken = [
            f"{as_written(o)}: {format_seconds(fewer.value(o))}" for o in plan.route.objectives if not fewer.meets(o)
        ]
        told = f"would break {'; '.join(broken)}" if broken else "all would still hold (minReplicas)"
        lines.append(f"  with {counted(fewer.replicas, 'replica')} {told}")
    return lines


def _held(objective: Objective, at: ServiceAnswer, paint: Paint) -> str:
    word = paint("holds", "good") if at.meets(objective) else paint("broken", "bad")
    return f"{as_written(objective)} is {format_seconds(at.value(objective))}, {word}"


def _pool(use: PoolUse, plan: TopologyPlan, width: int) -> list[str]:
    kind = use.pool.gpu
    if use.packing is None or use.nodes is None:
        return [f"{kind}: {counted(use.gpus, 'GPU')}; nodes unknown (say gpusPerNode under nodes)"]
    proof = "the least there can be" if use.packing.optimal else f"at least {use.lower_bound:,} are needed"
    nodes = f"{counted(use.nodes, 'node')} of {use.pool.gpus_per_node} GPUs ({proof})"
    lines = [f"{kind}: {nodes}, {counted(use.gpus, 'GPU')} used, {use.idle_gpus or 0:,} idle"]
    for each in plan.routes:
        gpu = each.route.profile.spec.gpu
        if each.route.gpu_type == kind and gpu.nodes_per_replica > 1:
            lines.append(
                f"  {counted(each.replicas, 'group')} of {gpu.nodes_per_replica} whole nodes: {each.route.name}"
            )
    mine = [each for each in plan.routes if each.route.gpu_type == kind]
    for entry in placements(use, mine)[:_MOST_LINES]:
        here = ", ".join(f"{count} × {name}" for name, count in entry["replicas"].items())
        idle = f"; {entry['idle_gpus']} idle" if entry["idle_gpus"] else ""
        lines += wrapped(f"{counted(entry['nodes'], 'node')}: {here}{idle}", width, "  ", "    ")
    return lines


_MOST_LINES = 12


def _budget(plan: TopologyPlan, paint: Paint, width: int) -> list[str]:
    if not plan.limits:
        return []
    word = paint("holds", "good") if plan.within_budget else paint("does not hold", "bad")
    lines = ["", f"The budget {word}: {'; '.join(limit.told for limit in plan.limits)}."]
    if plan.within_budget:
        return lines
    if plan.reduced is None:
        return [*lines, "Not even the minReplicas of every route fit it."]
    lines.append("The best within it, by priority:")
    for each, full in zip(plan.reduced, plan.routes, strict=True):
        lines += wrapped(f"{each.route.name}: {_reduced(each, full)}", width, "  - ", "    ")
    return [*lines, *wrapped(f"Remedy: {remedy(plan)}.", width)]


def _reduced(each: Reduced, full: RoutePlan) -> str:
    at = each.at
    said = f"{counted(at.replicas, 'replica')} of {full.replicas:,}"
    if at.replicas == full.replicas:
        return f"{said}, as planned"
    if not at.stable:
        return (
            f"{said} carry {format_share(each.carried_share)} of the load at all, "
            f"{format_share(each.within_objectives_share)} within the objectives"
        )
    broken = [
        f"{as_written(o)} becomes {format_seconds(at.value(o))}" for o in each.route.objectives if not at.meets(o)
    ]
    return f"{said}: {'; '.join(broken)}; or {format_share(each.within_objectives_share)} of the load within them"


def _assumed(plan: TopologyPlan) -> list[str]:
    estimates = [
        (each.route.name, note)
        for each in plan.routes
        for note in each.fields.get("assumptions", ())
        if "ESTIMATE" in note
    ]
    return [*assumptions(plan), *_told_once(estimates)]


def _warned(plan: TopologyPlan) -> list[str]:
    return _told_once([(each.route.name, note) for each in plan.routes for note in each.fields.get("warnings", ())])


def _told_once(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Each note with the routes that it is about."""
    about: dict[str, list[str]] = {}
    for name, note in notes:
        about.setdefault(note, []).append(name)
    return [f"{_some(names)}: {note}" for note, names in about.items()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


_MOST_NAMES = 3
