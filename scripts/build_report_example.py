"""Build examples/capacity-report/october.csv: a month of a made-up fleet, its demand in the shape of recorded traffic.

The shape is the week of 10-minute windows that ServeGen publishes (file beside it, see README.md there), begun anew
each Monday of October 2026 and scaled. The replicas are invented: what a target of utilisation would have run an hour
later.

`python -m scripts.build_report_example`, or `--check` to compare only.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "examples" / "capacity-report"
SOURCE = FOLDER / "servegen_m-large_10min_days1-7.csv"
OUT = FOLDER / "october.csv"
START = datetime(2026, 9, 30, 22, tzinfo=UTC)
"""Midnight of 1 October in Berlin, which is a Thursday."""
HOURS = 745
"""The clocks go back on the 25th."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """One service."""

    name: str
    mean_per_s: float
    prompt: int
    answer: int
    per_replica_per_s: float
    """What somebody thinks a replica carries."""
    spare: float
    least: int
    shift_h: int = 0
    """Of the shape, so that services do not peak together."""
    growth: float = 0.0
    """Over the month."""
    unknown: range = range(0)
    """Hours of which nobody kept the demand."""
    fixed: int | None = None


FLEET = (
    Made(name="chat", mean_per_s=70.0, prompt=512, answer=128, per_replica_per_s=30.0, spare=1.3, least=2, growth=0.1),
    Made(name="chat-staging", mean_per_s=0.4, prompt=512, answer=128, per_replica_per_s=30.0, spare=1.0, least=2),
    Made(name="search-answers", mean_per_s=6.0, prompt=1000, answer=250, per_replica_per_s=4.0, spare=1.0, least=1,
         shift_h=5, growth=0.25),
    Made(name="code", mean_per_s=9.0, prompt=2000, answer=300, per_replica_per_s=3.0, spare=1.5, least=1, shift_h=9),
    Made(name="summaries", mean_per_s=2.5, prompt=3000, answer=200, per_replica_per_s=2.0, spare=1.2, least=1,
         shift_h=60, unknown=range(300, 331), fixed=3),
    Made(name="reranker", mean_per_s=150.0, prompt=0, answer=0, per_replica_per_s=70.0, spare=1.1, least=1, shift_h=5),
)  # fmt: skip


def shape() -> list[float]:
    """Requests of each hour of the week over their mean."""
    with SOURCE.open(encoding="utf-8", newline="") as lines:
        windows = [float(row["requests"]) for row in csv.DictReader(lines)]
    hours = [sum(windows[at : at + 6]) for at in range(0, len(windows), 6)]
    mean = sum(hours) / len(hours)
    return [each / mean for each in hours]


def text() -> str:
    """The file."""
    week = shape()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("time", "service", "requests", "input_tokens", "output_tokens", "replicas"))
    for made in FLEET:
        before = made.mean_per_s
        for hour in range(HOURS):
            rate = made.mean_per_s * week[(hour + 72 + made.shift_h) % len(week)] * (1.0 + made.growth * hour / HOURS)
            replicas = made.fixed or max(made.least, math.ceil(made.spare * before / made.per_replica_per_s))
            requests = round(3600.0 * rate)
            tokens = (requests * made.prompt or "", requests * made.answer or "")
            moment = (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%MZ")
            demand = ("", "", "") if hour in made.unknown else (requests, *tokens)
            writer.writerow((moment, made.name, *demand, replicas))
            before = rate
    return stream.getvalue()


def main() -> int:
    """Write, or with --check compare."""
    made = text()
    if "--check" in sys.argv[1:]:
        return int(OUT.read_text(encoding="utf-8") != made)
    OUT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
