"""A plan of a pipeline as a person reads it: one line a stage, end to end, and what binds."""

from __future__ import annotations

from typing import Any

from planner.plan import STATISTICS
from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.units import format_number, format_seconds, format_share

_NAMES = {"e2e": "e2e   whole request", "ttft": "ttft  first token"}


def pipeline_table(fields: dict[str, Any], paint: Paint = plain, width: int = WIDTH) -> str:
    """The fields of `planner.pipeline_fields` for a person."""
    cost = fields["cost"]["per_hour"]
    price = "" if cost is None else f", ${cost:,.2f} an hour"
    head = f"{counted(fields['replicas'], 'replica')}, {counted(fields['gpus'], 'GPU')}{price}"
    lines = [
        f"{paint(head, 'good')}: pipeline {fields['name']} at {format_number(fields['qps'])} requests/s",
        "",
        *_stages(fields["stages"]),
        "",
        *_latencies(fields),
        "",
        *_objectives(fields, paint),
        "",
        *wrapped(_binding(fields), width),
        *(line for each in _fewer(fields) for line in wrapped(each, width)),
        *wrapped(_equal(fields), width),
    ]
    for title, notes in (("Assumed:", fields["assumptions"]), (paint("Warnings:", "warn"), fields["warnings"])):
        if notes:
            lines += ["", title, *(line for note in notes for line in wrapped(note, width, "  - ", "    "))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _stages(stages: list[dict[str, Any]]) -> list[str]:
    names = max(len("stage"), *(len(stage["name"]) for stage in stages))
    lines = [f"{'stage'.ljust(names)}  replicas  GPUs  calls/s   load     p50       p99      share  served by"]
    for stage in stages:
        law = stage["predicted"]["e2e"]
        calls = format_number(stage["rate_per_s"] * stage["calls"])
        middle = f"{format_seconds(law['p50']):>8}  {format_seconds(law['p99']):>8}"
        share = format_share(stage["share_of_latency"])
        if stage["kind"] == "delay":
            lines.append(
                f"{stage['name'].ljust(names)}  {'—':>8}  {'—':>4}  {calls:>7}  {'—':>5}  {middle}  {share:>7}  delay"
            )
            continue
        with_ = f" (with {', '.join(stage['shares_gpu_with'])})" if stage["shares_gpu_with"] else ""
        lines.append(
            f"{stage['name'].ljust(names)}  {stage['replicas']:>8,}  {stage['gpus']:>4,}  {calls:>7}  "
            f"{format_share(stage['utilization']):>5}  {middle}  {share:>7}  {stage['profile']}{with_}"
        )
    return lines


def _latencies(fields: dict[str, Any]) -> list[str]:
    lines = ["  " + " " * 26 + "".join(f"{name:>10}" for name, _ in STATISTICS)]
    for title, found in (("", fields["predicted"]), ("simulated ", fields.get("simulated", {}))):
        for metric, words in _NAMES.items():
            if metric in found:
                cells = "".join(f"{format_seconds(found[metric][name]):>10}" for name, _ in STATISTICS)
                lines.append(f"  {f'{title}{metric}' if title else words:<26}{cells}")
    return lines


def _objectives(fields: dict[str, Any], paint: Paint) -> list[str]:
    seen = {row["objective"]: row for row in fields.get("simulated", {}).get("objectives", ())}
    lines = []
    for row in fields["objectives"]:
        word, style = ("holds", "good") if row["met"] else ("broken", "bad")
        line = f"  {row['objective']}: {format_seconds(row['predicted'])}, {paint(word, style)}"
        if row["objective"] in seen:
            found = seen[row["objective"]]
            word, style = ("holds", "good") if found["met"] else ("broken", "bad")
            line += f"; {format_seconds(found['simulated'])}, {paint(f'{word} in simulation', style)}"
        lines.append(line)
    return lines


def _binding(fields: dict[str, Any]) -> str:
    binding = fields["binding"]
    share = next(stage["share_of_latency"] for stage in fields["stages"] if stage["name"] == binding["stage"])
    begins = f"Binding: {binding['objective']}, of which"
    if binding["constraint"] == "throughput":
        begins = f"Binding: the load alone. Of {binding['objective']}"
    return (
        f"{begins} stage {binding['stage']} takes most: {format_share(share)} of the latency of requests about that "
        f"{'mean' if ':mean' in binding['objective'] else 'percentile'}."
    )


def _fewer(fields: dict[str, Any]) -> list[str]:
    lines = []
    for stage in fields["stages"]:
        fewer = stage.get("one_fewer")
        if fewer is None or not stage["gpus"]:
            continue
        begins = f"One replica fewer of {stage['name']}: "
        if not fewer["stable"]:
            lines.append(f"{begins}it could not carry the load.")
        else:
            broken = [f"{each} would be {format_seconds(fewer['predicted'][each])}" for each in fewer["violates"]]
            lines.append(f"{begins}{'; '.join(broken)}.")
    return lines


def _equal(fields: dict[str, Any]) -> str:
    equal = fields["equal_split"]
    if not equal["feasible"]:
        return (
            "Equal parts of the objectives for each stage: by this rule no replicas would do, as a stage takes more "
            "than its part at its best."
        )
    if equal["extra_cost"] <= 0.0:
        return "Equal parts of the objectives for each stage would cost the same."
    priced = fields["cost"]["per_hour"] is not None
    more = f"${equal['extra_cost']:,.2f} an hour" if priced else f"{counted(round(equal['extra_cost']), 'GPU')}"
    return f"Equal parts of the objectives for each stage would cost {more} more ({counted(equal['gpus'], 'GPU')})."
