"""The table that a person reads: plan, latencies, what binds, what one fewer would break, what was assumed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.objective import METRICS, Objective
from models.prediction import Bottleneck
from models.workload import ClosedArrivals, Workload
from planner.objective import as_written
from planner.plan import STATISTICS, Answer, Plan
from planner.sizing import violated
from planner.units import format_number, format_seconds, format_share

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
    Bottleneck.WHOLE_PROMPTS: "long prompts that wait for room in a step (chunked prefill is off)",
}


WIDTH = 112
"""Columns where the reader is no terminal."""


def plain(text: str, _style: str) -> str:
    """No colour."""
    return text


def plan_table(plan: Plan, paint: Paint = plain, width: int = WIDTH) -> str:
    """The answer of `planner size`."""
    answer = plan.answer
    lines = [
        *_begun(_size_of(answer), "good", f" {_what_of(answer)}", paint, width),
        *_load_lines(answer, width),
        "",
        *_latency_lines(answer, paint, width),
        "",
    ]
    for sentence in (*_binding(plan), _fewer(plan), *_range(plan)):
        lines += wrapped(sentence, width)
    return "\n".join([*lines, *_remarks(answer, paint, width)]) + "\n"


def answer_table(answer: Answer, verb: str, paint: Paint = plain, width: int = WIDTH) -> str:
    """The answer of `planner predict` (verb `predicted`) and `planner simulate` (`simulated`)."""
    lines = _begun(_size_of(answer), "", f" {_what_of(answer)}, {verb}", paint, width)
    if answer.prediction.stable:
        lines += [
            *_load_lines(answer, width),
            "",
            *_latency_lines(answer, paint, width),
            *_verdict(answer, paint, width),
        ]
    else:
        lines += [*_begun("unstable", "bad", f": {_overload(answer)}", paint, width), *_verdict(answer, paint, width)]
    return "\n".join([*lines, *_remarks(answer, paint, width)]) + "\n"


def _overload(answer: Answer) -> str:
    """What of the load is too much, and what a replica carries."""
    top, share = answer.prediction.capacity, format_share(answer.prediction.utilization)
    carried = f"{format_number(top.requests_per_s)} requests/s, limited by {_STOPS[top.bottleneck]}"
    if answer.prediction.utilization >= 1.0:
        return f"{share} of capacity arrives; the queue grows for ever. A replica carries {carried}."
    return (
        f"the queue grew from beginning to end, although only {share} of what is predicted to be the capacity arrived. "
        f"Predicted is that a replica carries {carried}: too much for this load."
    )


def _size_of(answer: Answer) -> str:
    return f"{counted(answer.replicas, 'replica')}, {counted(answer.gpus, 'GPU')}"


def _what_of(answer: Answer) -> str:
    return f"({answer.profile.spec.gpu.type}) of {answer.profile.name}"


def _begun(start: str, style: str, rest: str, paint: Paint, width: int) -> list[str]:
    """Wrapped lines whose first words are painted."""
    lines = wrapped(start + rest, width)
    return [lines[0].replace(start, paint(start, style), 1) if style else lines[0], *lines[1:]]


def _binding(plan: Plan) -> list[str]:
    """What made the count what it is: an objective, or the load itself; and where a replica would saturate."""
    prediction = plan.answer.prediction
    nearest = f"{as_written(plan.binding)}, predicted {format_seconds(prediction.value(plan.binding))}"
    if plan.constraint == "throughput":
        nearest = f"throughput; the objective nearest to its limit is {nearest}"
    top = prediction.capacity
    return [
        f"Binding: {nearest}.",
        f"A replica saturates at {format_number(top.requests_per_s)} requests/s by {_STOPS[top.bottleneck]}.",
    ]


def _verdict(answer: Answer, paint: Paint, width: int) -> list[str]:
    """Whether the objectives hold, where there are any."""
    if not answer.objectives:
        return []
    broken = [as_written(objective) for objective in violated(answer.prediction, answer.objectives)]
    if not broken:
        return ["", "Every objective holds."]
    return ["", *_begun("broken", "bad", f": {', '.join(broken)}", paint, width)]


def _load_lines(answer: Answer, width: int) -> list[str]:
    prediction, lengths = answer.prediction, answer.workload.lengths
    per_gpu = prediction.output_tokens_per_s / max(answer.gpus, 1)
    facts = {
        "load": (
            f"{_arrivals(answer.workload)}, {format_number(lengths.prompt.mean)} tokens in, "
            f"{format_number(lengths.output.mean)} out"
        ),
        "throughput": (
            f"{format_number(prediction.requests_per_s)} requests/s, "
            f"{format_number(prediction.output_tokens_per_s)} output tokens/s ({format_number(per_gpu)} a GPU)"
        ),
        "utilisation": (
            f"{format_share(prediction.utilization)} of capacity, {_running(prediction.running)} in a replica"
        ),
    }
    if answer.nodes is not None:
        facts["nodes"] = answer.nodes.told()
    cost = answer.cost()
    if cost["per_hour"] is not None:
        facts["cost"] = " ".join([f"${cost['per_hour']:,.2f} an hour", *filter(None, [cost.get("note")])])
        if cost["per_million_output_tokens"] is not None:
            facts["cost"] += f", ${cost['per_million_output_tokens']:,.2f} per million output tokens"
    return [line for name, fact in facts.items() for line in wrapped(fact, width, f"  {name:<12}", " " * 14)]


def _running(sequences: float) -> str:
    return f"{format_number(sequences)} sequences running" if sequences >= 0.01 else "hardly ever a sequence running"


def _arrivals(workload: Workload) -> str:
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedArrivals):
        think = f", {format_seconds(arrivals.think_time_s)} think time" if arrivals.think_time_s else ""
        return f"{counted(arrivals.users, 'user')}{think}"
    return f"{format_number(arrivals.rate_per_s)} requests/s"


def _latency_lines(answer: Answer, paint: Paint, width: int) -> list[str]:
    """Every metric with its statistics, and each objective beside its metric; what the width has room for."""
    statistics = STATISTICS if width >= _ALL_STATISTICS else [each for each in STATISTICS if each[0] in ("p50", "p99")]
    rows = [_Row(cells=("", *(name for name, _ in statistics)), objective="objective", margin="margin")]
    for metric in METRICS:
        law = answer.prediction.laws.get(metric)
        label = f"{metric}  {_METRIC_NAMES[metric]}" if width >= _LONG_LABELS else metric
        values = (label, *(format_seconds(None if law is None else law.statistic(q)) for _, q in statistics))
        asked = [_objective_cells(answer, each, statistics) for each in answer.objectives if each.metric == metric]
        nothing = ("",) * len(values)
        rows += [
            _Row(cells=values if index == 0 else nothing, objective=objective, margin=margin, mark=mark)
            for index, (objective, margin, mark) in enumerate(asked or [("", "", "")])
        ]
    return _aligned(rows, paint)


_LONG_LABELS, _ALL_STATISTICS = 106, 80
"""Columns of a terminal from which metrics are spelled out, and from which every statistic is shown."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A metric, its statistics, and perhaps an objective."""

    cells: tuple[str, ...]
    objective: str
    margin: str
    mark: str = ""


def _objective_cells(
    answer: Answer, objective: Objective, shown: Sequence[tuple[str, float | None]]
) -> tuple[str, str, str]:
    """`p99 ≤ 500ms`, `+86 %` and the colour of that; with the value where no column has it."""
    value = answer.prediction.value(objective)
    margin = "—" if value is None else _margin(1.0 - value / objective.limit_s)
    if objective.statistic not in dict(shown):
        margin += f"  ({objective.statistic} = {format_seconds(value)})"
    limit = as_written(objective).partition("<=")[2]
    mark = "good" if answer.prediction.meets(objective) else "bad"
    return f"{objective.statistic} ≤ {limit}", margin, mark


def _margin(left: float) -> str:
    """`+86 %`, `+0.0 %`, `−3.1 %`; `35.5× over` where it is more than the limit once more."""
    if left < -1.0:
        return f"{format_number(1.0 - left)}× the limit"
    sign, percent = "+" if left >= 0 else "−", 100.0 * abs(left)
    return f"{sign}{percent:,.0f} %" if percent >= 10.0 else f"{sign}{percent:.1f} %"


def _aligned(rows: Sequence[_Row], paint: Paint) -> list[str]:
    widths = [max(len(row.cells[column]) for row in rows) for column in range(len(rows[0].cells))]
    longest = max(len(row.objective) for row in rows)
    lines = []
    for row in rows:
        cells = [row.cells[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row.cells[1:], widths[1:], strict=True)]
        line = "  " + "  ".join([*cells, row.objective.ljust(longest)]) + "  "
        lines.append((line + (paint(row.margin, row.mark) if row.mark else row.margin)).rstrip())
    return lines


def _fewer(plan: Plan) -> str:
    fewer = plan.sizing.one_fewer
    replicas = plan.answer.replicas - 1
    if fewer is None:
        return "One replica is the least there can be."
    if not fewer.stable:
        return (
            f"With {counted(replicas, 'replica')} the queue would grow for ever: "
            f"{format_share(fewer.utilization)} of capacity would arrive."
        )
    broken = [f"{as_written(o)}: {format_seconds(fewer.value(o))}" for o in violated(fewer, plan.answer.objectives)]
    if not broken:
        return f"With {counted(replicas, 'replica')} every objective would still hold."
    return f"With {counted(replicas, 'replica')} these would break: {'; '.join(broken)}."


def _range(plan: Plan) -> list[str]:
    between = plan.between
    if between is None:
        return []
    error = f"{format_share(between.step_time_error)} more or less than the profile says"
    if between.high is None:
        return [f"If steps take {error}: {counted(between.low, 'replica')}, or no number would do."]
    if between.low == between.high:
        return [f"If steps take {error}: still {counted(between.low, 'replica')}."]
    return [f"If steps take {error}: {between.low:,} to {counted(between.high, 'replica')}."]


def _remarks(answer: Answer, paint: Paint, width: int) -> list[str]:
    own = [note.removeprefix(_OF_PROFILE) for note in answer.assumptions if note.startswith(_OF_PROFILE)]
    rest = [note for note in answer.assumptions if not note.startswith(_OF_PROFILE)]
    groups = (
        ("Assumed:", rest),
        ("The profile says of itself:", own),
        (paint("Warnings:", "warn"), answer.warnings),
    )
    lines = []
    for title, notes in groups:
        if notes:
            lines += ["", title]
            lines += [line for note in notes for line in wrapped(note, width, "  - ", "    ")]
    return lines


_OF_PROFILE = "profile: "


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most `width` columns, but never so narrow that nothing fits."""
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
