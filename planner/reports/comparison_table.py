"""A comparison as a person reads it: one line a profile, cheapest first; the choice, break-even and what to mind."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner.break_even import BreakEven, Rates, told_hours
from planner.build_cost import HOURS_A_MONTH
from planner.comparison import Comparison
from planner.comparison_row import Row
from planner.objective import as_written
from planner.reports.table import WIDTH, Paint, plain, wrapped
from planner.units import format_number, format_seconds, format_share

_PERCENTILES = {"ttft": ("p50", "p99"), "itl": ("p95",), "e2e": ("p50", "p99"), "queue": ("p99",)}
_LONGEST = 48


def comparison_table(
    found: Comparison, break_evens: Sequence[BreakEven], notes: Sequence[str], paint: Paint = plain, width: int = WIDTH
) -> str:
    """The answer of `planner compare`."""
    names = {row.name: _short(row.name) for row in found.rows}
    longest = max(len("profile"), *(len(name) for name in names.values()))
    lines = [*_money_lines(found, names, longest, paint), "", *_latency_lines(found, names, longest)]
    for row in found.rows:
        if not row.feasible:
            remedy = f"; {row.fields['remedy']}" if row.fields["remedy"] else ""
            lines += ["", *wrapped(f"No plan for {row.name}: {row.fields['reason']}{remedy}.", width)]
    lines += ["", *_choice(found, paint, width)]
    lines += _break_even_lines(break_evens, width)
    told = [*_of_rows(found), *notes]
    for title, texts in (("Assumed:", told), (paint("Warnings:", "warn"), found.warnings)):
        if texts:
            lines += ["", title, *(line for text in texts for line in wrapped(text, width, "  - ", "    "))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _money_lines(found: Comparison, names: dict[str, str], longest: int, paint: Paint) -> list[str]:
    """Counts and cost of every row; a star on the Pareto front."""
    tokens = any((row.costs()["per_million_output_tokens"] is not None) for row in found.rows)
    builds = any(row.builds_per_hour for row in found.rows if row.per_hour is not None)
    of_tokens = f"{'$/1M output tokens':>20}" if tokens else ""
    of_builds = f"{'with builds':>13}" if builds else ""
    head = f"replicas    range   GPUs  nodes   $ an hour{of_builds}{of_tokens}{'$/1k requests':>15}  headroom"
    lines = [f"{'profile'.ljust(longest)}  {head}"]
    for row, on in zip(found.rows, found.pareto, strict=True):
        name = names[row.name].ljust(longest)
        star = "*" if on else " "
        lines.append(f"{name} {star}{_money(row, tokens, builds) if row.feasible else paint('no plan', 'bad')}")
    return lines


def _money(row: Row, tokens: bool, builds: bool) -> str:
    costs = row.costs()
    replicas = f"{row.fields['replicas']:8,}  {_between(row):>7}  {row.gpus:5,}  {_or_dash(row.nodes):>5}"
    of_tokens = f"{_dollars(costs['per_million_output_tokens'], 3):>20}" if tokens else ""
    with_builds = f"{_dollars(costs['per_hour_with_builds']):>13}" if builds else ""
    money = (
        f"{_dollars(costs['per_hour']):>10}{with_builds}{of_tokens}{_dollars(costs['per_thousand_requests'], 4):>15}"
    )
    headroom = "—" if row.headroom is None else f"+{format_share(row.headroom)}"
    estimated = f"  ESTIMATED ± {format_share(row.candidate.error)}" if row.candidate.estimated else ""
    return f"{replicas}  {money}  {headroom:>8}{estimated}"


def _set_up(row: Row) -> str:
    """Hours to build, and the cold start's p95 where it was measured."""
    start = row.set_up.cold_start_p95_s
    build = [f"{row.set_up.compile_hours:g} h"] if row.set_up.compile_hours else []
    return " + ".join([*build, *([] if start is None else [format_seconds(start)])]) or "—"


def _between(row: Row) -> str:
    if row.between is None:
        return "—"
    low, high = row.between.low, row.between.high
    return f"{low:,}–{'none' if high is None else format(high, ',')}"


def _or_dash(count: int | None) -> str:
    return "—" if count is None else f"{count:,}"


def _dollars(amount: float | None, digits: int = 2) -> str:
    return "—" if amount is None else f"{amount:,.{digits}f}"


def _latency_lines(found: Comparison, names: dict[str, str], longest: int) -> list[str]:
    """Percentiles of every metric there is, load, set-up and what binds."""
    planned = [row for row in found.rows if row.feasible]
    if not planned:
        return []
    there = planned[0].fields["predicted"]
    columns = [(metric, name) for metric, some in _PERCENTILES.items() if metric in there for name in some]
    head = "".join(f"{f'{metric} {name}':>10}" for metric, name in columns)
    widest = max(len("set-up"), *(len(_set_up(row)) for row in planned))
    lines = [f"{'profile'.ljust(longest)}  {head}  {'load':>5}  {'set-up'.rjust(widest)}  binding"]
    for row in planned:
        cells = "".join(f"{format_seconds(row.latency(*column)):>10}" for column in columns)
        load = f"{format_share(row.fields['utilization']):>5}  {_set_up(row).rjust(widest)}"
        lines.append(f"{names[row.name].ljust(longest)}  {cells}  {load}  {_binding(found, row)}")
    return lines


def _binding(found: Comparison, row: Row) -> str:
    """`throughput`, or the objective as it was written."""
    binding = row.fields["binding"]
    if binding["constraint"] == "throughput":
        return "throughput"
    return next(as_written(each) for each in found.load.objectives if str(each) == binding["objective"])


def _choice(found: Comparison, paint: Paint, width: int) -> list[str]:
    choice = found.choice
    if choice.name is None:
        return wrapped(f"No choice: {choice.reason}.", width)
    head = f"Choose {choice.name}"
    lines = wrapped(f"{head}: {choice.reason}.", width)
    lines[0] = lines[0].replace(head, paint(head, "good"), 1)
    if choice.saving_per_hour:
        lines += wrapped(
            f"That is ${choice.saving_per_hour:,.2f} an hour, ${choice.saving_per_hour * HOURS_A_MONTH:,.0f} a month.",
            width,
        )
    return lines


def _break_even_lines(found: Sequence[BreakEven], width: int) -> list[str]:
    lines = []
    for each in found:
        supposed = "" if each.gain is None else " (supposed)"
        lines += ["", *wrapped(f"{each.vllm.name} or {each.compiled.name}{supposed}: {each.reason}.", width)]
        lines += [line for text in _all_rates(each) for line in wrapped(text, width)]
    return lines


def _all_rates(each: BreakEven) -> list[str]:
    """Savings are whole replicas, so they begin at a rate; what they have to pay for, at a higher one."""
    looked = each.looked_to_per_s
    if looked is None:
        return []
    told = [_rates("Savings, building apart, are whole replicas:", each.saves, looked)]
    if each.pays is not None and each.per_version is not None and each.hours_between is not None:
        due = f"${each.per_version:,.2f} in the {told_hours(each.hours_between)} until the next version"
        told.append(_rates(f"Building included ({due}), TensorRT-LLM pays:", each.pays, looked))
    return told


def _rates(what: str, rates: Rates, looked_to_per_s: float) -> str:
    to = f"{format_number(looked_to_per_s)} requests/s, as far as was looked"
    if rates.first_per_s is None:
        return f"{what} none up to {to}." if what.startswith("Savings") else f"{what} nowhere up to {to}."
    first = f"{what} first above {format_number(rates.first_per_s)} requests/s"
    if rates.always_from_per_s is None:
        return f"{first}, and not at every rate up to {to}."
    if math.isclose(rates.always_from_per_s, rates.first_per_s):
        return f"{first}, and at every rate from there."
    return f"{first}, and at every rate above {format_number(rates.always_from_per_s)} (looked up to {to})."


def _of_rows(found: Comparison) -> list[str]:
    """What rows rest on, once each."""
    rows = found.rows
    notes = [f"{row.price.gpu}: {row.price.told}" for row in rows if row.price.usd_per_h is not None]
    notes += [f"{row.name}: {row.candidate.basis}" for row in rows if row.candidate.basis and row.feasible]
    notes += [
        f"building an engine takes {row.set_up.compile_hours:g} hours (--compile-hours){_spread(row)}"
        for row in rows
        if row.set_up.compile_hours and row.feasible
    ]
    if any(row.costs()["per_million_output_tokens"] is not None for row in rows):
        notes.append("$/1M output tokens: the cost of serving prompts and answers, over the tokens of answers alone")
    if any(row.feasible and row.set_up.cold_start_p95_s is None for row in rows):
        notes.append("set-up without a time: no profile there measured a cold start")
    if any(found.pareto):
        notes.append(f"* is on the Pareto front of cost and {found.axis}: no other is better in both")
    return list(dict.fromkeys(notes))


def _spread(row: Row) -> str:
    """Whether what rows are ranked by has the cost of building."""
    if row.builds_gpus and row.per_hour is None:
        return "; GPUs that build count where rows are ranked by GPUs"
    if row.builds_per_hour:
        return '; "with builds" has every version\'s, what rows are ranked by; the other costs are of GPUs alone'
    return "; no cost here has it: --releases-per-month spreads it over the hours that a version serves"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
