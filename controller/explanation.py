"""A decision as a person would tell it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from controller.capacity_model import ObjectiveValue
from controller.decision import Decision, Lever, Write
from planner.units import format_number, format_seconds

_VERBS = {
    Lever.SCALE: "scale it",
    Lever.HPA: "set minReplicas of HPA {}",
    Lever.SCALED_OBJECT: "set minReplicaCount of ScaledObject {}",
}


def explanation(decision: Decision) -> str:
    """Some sentences, and the conditions that are not as they should be."""
    return "\n".join(sentences(decision, _outcome(decision))) + "\n"


def sentences(decision: Decision, outcome: str) -> Iterator[str]:
    """Line by line; `outcome` says what becomes of it."""
    when = datetime.fromtimestamp(decision.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    yield f"{decision.policy}, {when}"
    yield ""
    yield from _demand(decision)
    yield from _replicas(decision)
    yield ""
    yield outcome
    if decision.reasons:
        yield ""
        yield "Why:"
        yield from (f"  - {reason.message} ({reason.code})" for reason in decision.reasons)
    bad = [each for each in decision.conditions if each.status != "True"]
    if bad:
        yield ""
        yield "Not as it should be:"
        yield from (f"  - {each.type} is {each.status}: {each.message} ({each.reason})" for each in bad)


def _demand(decision: Decision) -> Iterator[str]:
    demand = decision.demand
    if demand is None:
        yield "Nothing is concluded about the load."
        return
    lengths = ""
    if demand.prompt_tokens is not None and demand.output_tokens is not None:
        lengths = f" of {format_number(demand.prompt_tokens)} tokens in and {format_number(demand.output_tokens)} out"
    yield f"{format_number(demand.arriving_per_s)} requests/s{lengths} arrive."
    ahead = format_seconds(demand.horizon_s)
    planned = format_number(demand.planned_per_s)
    yield f"Planned for: {planned} requests/s, {ahead} ahead at the {demand.quantile:.0%} quantile."


def _replicas(decision: Decision) -> Iterator[str]:
    if decision.current is None:
        return
    needed = "" if decision.needed is None else f", {decision.needed} {'is' if decision.needed == 1 else 'are'} needed"
    binding = f" by {decision.binding}" if decision.binding and decision.needed is not None else ""
    asked = "1 replica is" if decision.current == 1 else f"{decision.current} replicas are"
    yield f"{asked} asked for, {decision.ready} {'is' if decision.ready == 1 else 'are'} ready{needed}{binding}."
    if decision.predicted and decision.desired is not None:
        yield f"With {decision.desired}: {_values(decision.predicted)}."
    if decision.one_fewer and decision.needed is not None:
        yield f"With {decision.needed - 1}: {_values(decision.one_fewer)}."


def _values(values: tuple[ObjectiveValue, ...]) -> str:
    return "; ".join(
        f"{each.objective} "
        + (
            "has no end"
            if each.value_s is None
            else f"{'holds' if each.met else 'breaks'} at {format_seconds(each.value_s)}"
        )
        for each in values
    )


def _outcome(decision: Decision) -> str:
    if decision.write is not None:
        return f"Written: {_told(decision.write)}."
    if decision.proposed is not None:
        return f"Not written; it would be: {_told(decision.proposed)}."
    return "Nothing is to be written."


def _told(write: Write) -> str:
    most = "" if write.maximum is None else f", at most {write.maximum}"
    return f"{_VERBS[write.lever].format(write.name)} from {write.before} to {write.replicas}{most}"
