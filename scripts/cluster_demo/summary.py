"""What came of the demonstration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.decision_log import Entry
from planner.units import format_number, format_seconds
from scripts.cluster_demo.decisions import Decisions
from scripts.cluster_demo.processes import said
from scripts.cluster_demo.record import Record


def summary(records: Sequence[Record], decisions: Decisions, lost: dict[str, int]) -> Iterator[str]:
    """Some lines for each model, and the decision most worth a look as `planner explain` tells it."""
    yield "Summary"
    for record in records:
        yield from _of_model(record, lost[record.model.name])
    yield f"  {len(decisions.entries)} decisions logged, {len(decisions.written)} of them written to the cluster"
    best = decisions.most_interesting()
    if best is None:
        return
    yield ""
    yield from _explained(best, decisions.log)


def _of_model(record: Record, lost: int) -> Iterator[str]:
    model = record.model
    low, high = (format_number(round(rate)) for rate in record.arriving())
    least, most, last = record.ready()
    seconds = record.looks[-1].at_s
    always = most * seconds
    saved = 1.0 - record.replica_seconds() / always if always else 0.0
    yield f"  {model.name} ({model.engine}), {low} to {high} requests/s"
    fewer = f"{saved:.0%} fewer replica-seconds than {most} all along"
    yield f"    ready replicas {least} to {most}, {last} at the end: {fewer}"
    unmeasured = f", not measured for {record.unmeasured_s:.0f} s" if record.unmeasured_s >= 1.0 else ""
    unserved = f"; {lost} requests lost with pods that were removed (simulated ones do not drain)" if lost else ""
    yield (
        f"    {model.watched} over {format_seconds(model.limit_s)} for {record.breached_s:.0f} s of {seconds:.0f} s"
        f"{unmeasured}{unserved}"
    )


def _explained(entry: Entry, log: Path) -> Iterator[str]:
    at = datetime.fromtimestamp(math.ceil(entry.decision.at_s), UTC)
    arguments = ["explain", entry.decision.policy, "--decision-log", log.name]
    arguments += ["--at", f"{at:%Y-%m-%dT%H:%M:%S}", "--replay"]
    yield f"$ planner {' '.join(arguments)}"
    yield from said(arguments, log.parent).splitlines()
