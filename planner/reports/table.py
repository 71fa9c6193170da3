"""The table that a person reads: plan, latencies, what binds, what one fewer would break, what was assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from models.objective import METRICS
from models.prediction import Bottleneck
from models.workload import ClosedArrivals, Workload
from planner.plan import STATISTICS, Answer, Plan
from planner.sizing import violated
from planner.units import format_number, format_seconds, format_share

if TYPE_CHECKING:
    from planner.fleet import FleetRow

Paint = Callable[[str, str], str]

_METRIC_NAMES = {
    "ttft": "time to first token",
    "itl": "gap between tokens",
    "tpot": "time per output token",
    "e2e": "whole answer",
    "queue": "wait for admission",
}
_STOPS = {
    Bottleneck.COMPUTE: "the GPU's work",
    Bottleneck.MAX_NUM_SEQS: "the limit of running sequences (max_num_seqs)",
    Bottleneck.TOKEN_BUDGET: "the token budget of a step (max_num_batched_tokens)",
    Bottleneck.KV_CACHE: "KV memory",
}


def plain(text: str, _style: str) -> str:
    """No colour."""
    return text


def plan_table(plan: Plan, paint: Paint = plain) -> str:
    """The answer of `planner size`."""
    answer = plan.answer
    lines = [
        paint(f"{_count(answer.replicas, 'replica')}, {_count(answer.gpus, 'GPU')}", "good")
        + f" ({answer.profile.spec.gpu.type}) of {answer.profile.name}",
        *_load_lines(answer),
        "",
        *_latency_lines(answer, paint),
        "",
        (
            f"Binding: {plan.binding}, predicted {format_seconds(answer.prediction.value(plan.binding))}. "
            f"A replica saturates at {format_number(answer.prediction.capacity.requests_per_s)} requests/s "
            f"by {_STOPS[answer.prediction.capacity.bottleneck]}."
        ),
        _fewer(plan),
        *_range(plan),
    ]
    return "\n".join([*lines, *_remarks(answer, paint)]) + "\n"


def answer_table(answer: Answer, verb: str, paint: Paint = plain) -> str:
    """The answer of `planner predict` (verb `predicted`) and `planner simulate` (`simulated`)."""
    lines = [
        (
            f"{_count(answer.replicas, 'replica')}, {_count(answer.gpus, 'GPU')} ({answer.profile.spec.gpu.type}) of "
            f"{answer.profile.name}, {verb}"
        )
    ]
    if not answer.prediction.stable:
        lines.append(
            paint("unstable", "bad")
            + f": {format_number(answer.prediction.utilization * 100.0)} % of capacity arrives; the queue grows for "
            f"ever. A replica carries {format_number(answer.prediction.capacity.requests_per_s)} requests/s, limited "
            f"by {_STOPS[answer.prediction.capacity.bottleneck]}."
        )
        return "\n".join([*lines, *_remarks(answer, paint)]) + "\n"
    return (
        "\n".join([*lines, *_load_lines(answer), "", *_latency_lines(answer, paint), *_remarks(answer, paint)]) + "\n"
    )


def _load_lines(answer: Answer) -> list[str]:
    prediction = answer.prediction
    lengths = answer.workload.lengths
    per_gpu = prediction.output_tokens_per_s / max(answer.gpus, 1)
    lines = [
        (
            f"  load        {_arrivals(answer.workload)}, {format_number(lengths.prompt.mean)} tokens in, "
            f"{format_number(lengths.output.mean)} out"
        ),
        (
            f"  throughput  {format_number(prediction.requests_per_s)} requests/s, "
            f"{format_number(prediction.output_tokens_per_s)} output tokens/s ({format_number(per_gpu)} a GPU)"
        ),
        (
            f"  utilisation {format_share(prediction.utilization)} of capacity, "
            f"{format_number(prediction.running)} sequences decoding in a replica"
        ),
    ]
    if answer.nodes is not None:
        lines.append(f"  nodes       {answer.nodes}")
    cost = answer.cost()
    if cost["per_hour"] is not None:
        per_million = cost["per_million_output_tokens"]
        lines.append(f"  cost        ${cost['per_hour']:,.2f} an hour, ${per_million:,.2f} per million output tokens")
    return lines


def _arrivals(workload: Workload) -> str:
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedArrivals):
        think = f", {format_seconds(arrivals.think_time_s)} think time" if arrivals.think_time_s else ""
        return f"{_count(arrivals.users, 'user')}{think}"
    return f"{format_number(arrivals.rate_per_s)} requests/s"


def _latency_lines(answer: Answer, paint: Paint) -> list[str]:
    heads = ["", *(name for name, _ in STATISTICS), "objective", "margin"]
    rows: list[list[str]] = []
    marks: list[str] = []
    for metric in METRICS:
        law = answer.prediction.laws.get(metric)
        asked = [objective for objective in answer.objectives if objective.metric == metric]
        values = [format_seconds(None if law is None else law.statistic(q)) for _, q in STATISTICS]
        first = True
        for objective in asked or (None,):
            label = f"{metric}  {_METRIC_NAMES[metric]}" if first else ""
            goal = margin = ""
            mark = ""
            if objective is not None:
                value = answer.prediction.value(objective)
                goal = f"{objective.statistic} ≤ {format_seconds(objective.limit_s)}"
                left = None if value is None else 1.0 - value / objective.limit_s
                margin = "—" if left is None else f"{'+' if left >= 0 else '−'}{format_share(abs(left))}"
                mark = "good" if answer.prediction.meets(objective) else "bad"
                if objective.statistic not in dict(STATISTICS):
                    margin += f"  ({objective.statistic} = {format_seconds(value)})"
            rows.append([label, *(values if first else [""] * len(values)), goal, margin])
            marks.append(mark)
            first = False
    return _aligned([heads, *rows], ["", *marks], paint)


def _aligned(rows: Sequence[Sequence[str]], marks: Sequence[str], paint: Paint) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, mark in zip(rows, marks, strict=True):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:6], widths[1:6], strict=True)]
        cells.append(row[6].ljust(widths[6]))
        line = "  " + "  ".join(cells) + "  "
        lines.append((line + (paint(row[7], mark) if mark else row[7])).rstrip())
    return lines


def _fewer(plan: Plan) -> str:
    fewer = plan.sizing.one_fewer
    replicas = plan.answer.replicas - 1
    if fewer is None:
        return "One replica is the least there can be."
    if not fewer.stable:
        return (
            f"With {_count(replicas, 'replica')} the queue would grow for ever: "
            f"{format_number(100.0 * fewer.utilization)} % of capacity would arrive."
        )
    broken = [f"{o}: {format_seconds(fewer.value(o))}" for o in violated(fewer, plan.answer.objectives)]
    if not broken:
        return f"With {_count(replicas, 'replica')} every objective would still hold."
    return f"With {_count(replicas, 'replica')} these would break: {'; '.join(broken)}."


def _range(plan: Plan) -> list[str]:
    between = plan.between
    if between is None:
        return []
    error = f"{format_share(between.step_time_error)} more or less than the profile says"
    if between.high is None:
        return [f"If steps take {error}: {_count(between.low, 'replica')}, or no number would do."]
    if between.low == between.high:
        return [f"If steps take {error}: still {_count(between.low, 'replica')}."]
    return [f"If steps take {error}: {between.low:,} to {_count(between.high, 'replica')}."]


def _remarks(answer: Answer, paint: Paint) -> list[str]:
    lines = [""]
    if answer.assumptions:
        lines.append("Assumed:")
        lines += [f"  - {note}" for note in answer.assumptions]
    if answer.warnings:
        lines.append(paint("Warnings:", "warn"))
        lines += [f"  - {note}" for note in answer.warnings]
    return lines if len(lines) > 1 else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def fleet_table(rows: Sequence[FleetRow], paint: Paint = plain) -> str:
    """One line a workload: name, replicas, GPUs, utilisation, binding objective, or why there is no plan."""
    width = max(8, *(len(row.name) for row in rows))
    lines = [f"{'workload'.ljust(width)}  replicas    GPUs  utilisation  binding"]
    planned = [row.fields for row in rows if row.feasible]
    for row in rows:
        name, fields = row.name.ljust(width), row.fields
        if not row.feasible:
            lines.append(f"{name}  {paint('no plan', 'bad')}: {fields['reason']}; {fields['remedy']}")
            continue
        lines.append(
            f"{name}  {fields['replicas']:8,}  {fields['gpus']:6,}  {format_share(fields['utilization']):>11}  "
            f"{fields['binding']['objective']}"
        )
    replicas, gpus = (sum(fields[unit] for fields in planned) for unit in ("replicas", "gpus"))
    lines.append(f"{'all'.ljust(width)}  {replicas:8,}  {gpus:6,}" + _without_plan(len(rows) - len(planned)))
    return "\n".join(lines) + "\n"


def _without_plan(count: int) -> str:
    return f"  and {_count(count, 'workload')} without a plan" if count else ""
