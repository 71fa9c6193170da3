"""The reasoning behind a plan, step by step, with the names of the formulas in docs/mathematics.md."""

from __future__ import annotations

import math

from models.capacity import Demand
from models.prediction import Prediction
from models.workload import ClosedArrivals, OpenArrivals
from planner.objective import as_written
from planner.plan import Plan
from planner.reports.table import counted
from planner.sizing import violated
from planner.sizing_request import SizingRequest
from planner.units import format_number, format_seconds, format_share


def explain_plan(request: SizingRequest, plan: Plan) -> str:
    """Paragraphs: the work of a request, capacity, occupancy, steps, waiting, search, and what was not considered."""
    parts = [
        ("Work of one request", _work(request)),
        ("Step time", _steps(request, plan)),
        ("Capacity (fluid limit, operational laws)", _capacity(request, plan)),
        ("Occupancy (birth–death chain, limited processor sharing)", _occupancy(request, plan.answer.prediction)),
        ("First token (prompt backlog chain; Lindley's recursion where arrivals are not Poisson)", _first_token(plan)),
        ("Discrepancy (learned from simulations)", _discrepancy(plan)),
        ("Search (least replicas, monotone)", _search(plan)),
    ]
    lines = ["", "How this was decided"]
    for title, sentences in parts:
        lines += ["", f"  {title}"]
        lines += [f"    {sentence}" for sentence in sentences]
    return "\n".join(lines) + "\n"


def _demand(request: SizingRequest) -> Demand:
    block = request.profile.spec.limits.kv_block_size
    return Demand.of(request.workload.lengths, request.workload.prefix_hit_rate, block)


def _work(request: SizingRequest) -> list[str]:
    demand, lengths = _demand(request), request.workload.lengths
    return [
        (
            f"{format_number(demand.prompt_tokens)} prompt tokens to compute of {format_number(lengths.prompt.mean)}, "
            f"coefficient of variation {lengths.prompt.scv**0.5:.2f}"
        ),
        (
            f"{format_number(demand.decode_steps)} decode steps after the first token, coefficient of variation "
            f"{lengths.output.scv**0.5:.2f}; each reads {format_number(demand.context)} tokens of KV on average"
        ),
    ]


def _steps(request: SizingRequest, plan: Plan) -> list[str]:
    step_time, demand = request.profile.to_engine().step_time, _demand(request)
    running = _decoding(plan)
    bare = float(step_time.seconds(0.0, running, running * demand.context))
    full = float(request.profile.spec.limits.max_num_batched_tokens) - running
    packed = float(step_time.seconds(max(full, 1.0), running, running * demand.context))
    return [
        f"with {format_number(running)} sequences decoding and no prompt: {format_seconds(bare)}",
        f"with a step full of prompt tokens: {format_seconds(packed)}",
    ]


def _decoding(plan: Plan) -> float:
    """Mean sequences of a replica past their first token, by Little's law."""
    answer = plan.answer
    laws = answer.prediction.laws
    return answer.prediction.requests_per_s / answer.replicas * max(laws["e2e"].mean_s - laws["ttft"].mean_s, 0.0)


def _capacity(request: SizingRequest, plan: Plan) -> list[str]:
    top = plan.answer.prediction.capacity
    lines = [
        (
            f"a replica saturates at {format_number(top.requests_per_s)} requests/s with {format_number(top.running)} "
            f"sequences decoding; what binds there: {top.bottleneck.value}"
        )
    ]
    arrivals = request.workload.arrivals
    if isinstance(arrivals, OpenArrivals):
        least = arrivals.rate_per_s / top.requests_per_s
        whole = math.floor(least)
        means = f"with {counted(whole, 'replica')} the queue would grow for ever" if whole else "one replica carries it"
        lines.append(
            f"{format_number(arrivals.rate_per_s)} / {format_number(top.requests_per_s)} = {least:,.2f}: {means}"
        )
    return lines


def _occupancy(request: SizingRequest, prediction: Prediction) -> list[str]:
    lines = []
    if isinstance(request.workload.arrivals, ClosedArrivals):
        lines.append("users = rate × (e2e + think time) closes the loop (Little's law)")
    lines.append(
        f"mean {format_number(prediction.running)} sequences running in a replica (rate × (e2e − queue)) at "
        f"{format_share(prediction.utilization)} "
        "utilisation"
    )
    if request.profile.spec.limits.kv_cache_tokens:
        lines.append(
            f"KV memory {format_share(prediction.kv_occupancy)} full on average, "
            f"{prediction.preemptions_per_request:.3f} preemptions a request"
        )
    return lines


def _first_token(plan: Plan) -> list[str]:
    laws = plan.answer.prediction.laws
    queue, ttft = laws["queue"], laws["ttft"]
    return [
        f"wait until admission: mean {format_seconds(queue.mean_s)}, p99 {format_seconds(queue.quantile(0.99))}",
        f"then the steps that compute the prompt: mean {format_seconds(ttft.mean_s - queue.mean_s)}",
    ]


def _discrepancy(plan: Plan) -> list[str]:
    prediction = plan.answer.prediction
    if not prediction.analytic:
        return ["none is known of closed loops: the analytic laws answer"]
    if prediction.familiarity is None:
        return ["none is known where answers are of one token: the analytic laws answer"]
    if format_share(prediction.familiarity) in ("0 %", "< 0.1 %"):
        return ["not used: the question is too unlike those simulated; the analytic laws answer"]
    lines = [f"used to {format_share(prediction.familiarity)}: how near the question lies to those simulated"]
    for objective in plan.answer.objectives:
        plain, law = (laws[objective.metric] for laws in (prediction.analytic, prediction.laws))
        lines.append(
            f"{objective.metric} {objective.statistic}: {format_seconds(plain.statistic(objective.quantile))} by the "
            f"analytic laws, {format_seconds(law.statistic(objective.quantile))} with what they miss"
        )
    return lines


def _search(plan: Plan) -> list[str]:
    objectives = plan.answer.objectives
    held = ", ".join(as_written(objective) for objective in objectives)
    lines = [f"{counted(plan.answer.replicas, 'replica')}: would hold {held}"]
    fewer = plan.sizing.one_fewer
    if fewer is not None:
        broken = ", ".join(as_written(objective) for objective in violated(fewer, objectives)) or "nothing"
        state = "unstable" if not fewer.stable else f"would break {broken}"
        lines.append(f"{counted(plan.answer.replicas - 1, 'replica')}: {state}")
    return lines
