"""The table of an answer about a dynamic batcher."""

from __future__ import annotations

from typing import Any

from planner.batching_answer import BATCHING_METRICS
from planner.plan import STATISTICS
from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.units import format_number, format_seconds, format_share

_NAMES = {"queue": "queue  wait for a batch", "e2e": "e2e    whole answer"}
_NAMES_OF_SLOTS = {"queue": "queue  wait for a slot", "e2e": "e2e    to the last message"}


def batching_table(fields: dict[str, Any], gpu: str, verb: str, paint: Paint = plain, width: int = WIDTH) -> str:
    """The fields of `planner.batching_fields` for a person; `verb` is empty for a plan, else predicted or simulated."""
    head = f"{counted(fields['replicas'], 'replica')}, {counted(fields['gpus'], 'GPU')}"
    lines = [f"{paint(head, '' if verb else 'good')} ({gpu}) of {fields['profile']}{f', {verb}' if verb else ''}"]
    found = fields["predicted"]
    load, busy = format_share(fields["utilization"]), format_share(found["busy"])
    lines.append(f"  throughput  {format_number(found['throughput']['requests_per_s'])} requests/s")
    if "slots" in found:
        held = f"{format_number(found['slots']['held'])} of {found['slots']['count']:,} in the mean"
        lines += [f"  load        {load} of capacity", f"  slots held  {held}"]
    else:
        lines += [
            f"  load        {load} of capacity; instances busy {busy} of the time",
            f"  batch       {format_number(found['batch']['mean'])} requests in the mean",
        ]
    if fields["cost"]["per_hour"] is not None:
        lines.append(f"  cost        ${fields['cost']['per_hour']:,.2f} an hour")
    lines += [
        "",
        *(_latencies(found) if fields["stable"] else [paint("unstable", "bad") + ": the queue grows for ever"]),
    ]
    if "by_rule" in found:
        lines += ["", *_rules(found["by_rule"])]
    lines += [*_objectives(fields, paint), *_plan(fields, width)]
    for title, notes in (("Assumed:", fields["assumptions"]), (paint("Warnings:", "warn"), fields["warnings"])):
        if notes:
            lines += ["", title, *(line for note in notes for line in wrapped(note, width, "  - ", "    "))]
    return "\n".join(lines) + "\n"


def _latencies(found: dict[str, Any]) -> list[str]:
    lines = ["  " + " " * 25 + "".join(f"{name:>10}" for name, _ in STATISTICS)]
    names = _NAMES_OF_SLOTS if "slots" in found else _NAMES
    for metric in BATCHING_METRICS:
        cells = "".join(f"{format_seconds(found[metric][name]):>10}" for name, _ in STATISTICS)
        lines.append(f"  {names[metric]:<25}{cells}")
    return lines


def _rules(by_rule: dict[str, Any]) -> list[str]:
    """The bracket: what each way to dispatch alone gives."""
    return [
        f"  {rule + ':':<15} batch {format_number(each['batch']['mean'])}, "
        f"e2e p50 {format_seconds(each['e2e']['p50'])}, p99 {format_seconds(each['e2e']['p99'])}"
        for rule, each in by_rule.items()
    ]


def _objectives(fields: dict[str, Any], paint: Paint) -> list[str]:
    lines = [""] if fields["objectives"] else []
    for row in fields["objectives"]:
        word, style = ("holds", "good") if row["met"] else ("broken", "bad")
        lines.append(f"  {row['objective']}: {format_seconds(row['predicted'])}, {paint(word, style)}")
    return lines


def _plan(fields: dict[str, Any], width: int) -> list[str]:
    if "binding" not in fields:
        return []
    fewer, binding = fields["one_fewer"], fields["binding"]
    what = "throughput" if binding["constraint"] == "throughput" else binding["objective"]
    capacity = format_number(fields["capacity"]["requests_per_s_per_replica"])
    full = "slots held" if "slots" in fields["predicted"] else "batches full"
    sentences = [f"Binding: {what}. A replica saturates at {capacity} requests/s, all {full}."]
    if fewer is None:
        sentences.append("One replica is the least there can be.")
    elif not fewer["stable"]:
        sentences.append(
            f"With {counted(fewer['replicas'], 'replica')} the queue would grow for ever: "
            f"{format_share(fewer['utilization'])} of capacity would arrive."
        )
    else:
        sentences.append(
            f"With {counted(fewer['replicas'], 'replica')} these would break: {'; '.join(fewer['violates'])}."
        )
    return ["", *(line for each in sentences for line in wrapped(each, width))]
