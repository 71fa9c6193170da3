"""A prediction beside real runs of Triton's dynamic batcher (benchmarks/triton_runs/SOURCE.md).

What a batch takes is learned from the closed runs alone, whose batches are all alike (1, 4 and 8 requests): the mean
over requests of compute input, inference and output. The open runs are then predicted at the rate that was achieved.
What the client and HTTP add to the server's own time is no part of the model: it is the mean of the same run.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher, DispatchRule
from models.dynamic_batching import BatchingPrediction, predict_batching
from models.service_time import ServiceTime
from models.simulation import batch_loop
from models.workload import OpenArrivals

RUNS = Path(__file__).with_name("triton_runs")
LATE_CLIENT_MS = 20.0
"""A client that sent later than this (p99) was short of CPU."""
STATISTICS = (0.5, 0.95, 0.99)
_CLOSED = {"d10000_closed_c1": 1, "d10000_closed_c4": 4, "d10000_closed_c16": 8}

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ObservedRun:
    """An open run and what is said of it."""

    name: str
    clean: bool
    delayed: bool
    mean_batch: float
    overhead_s: float
    """What the client and HTTP add."""
    latency_s: Array
    """As the client saw it, at STATISTICS."""
    predicted: tuple[BatchingPrediction, ...]
    """One, or with a delay one for each rule."""
    replayed_s: tuple[Array, ...]
    """The same statistics of the simulator on the very arrivals of the run."""


def observed_runs() -> list[ObservedRun]:
    """Every open run."""
    summaries = json.loads((RUNS / "runs.json").read_text(encoding="utf-8"))
    requests: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with gzip.open(RUNS / "requests.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            requests[row["run"]].append((float(row["sent_s"]), float(row["latency_ms"]) / 1e3))
    times = _service_time(summaries)
    return [_observed(name, summaries[name], np.array(sorted(rows)), times) for name, rows in requests.items()]


def _service_time(summaries: Any) -> ServiceTime:
    means = []
    for name in _CLOSED:
        server = summaries[name]["server_mean_ms"]
        means.append(sum(server[part] for part in ("compute_input", "compute_infer", "compute_output")) / 1e3)
    return ServiceTime(batches=tuple(_CLOSED.values()), means_s=tuple(means), cvs=(0.03,) * len(means))


def _observed(name: str, summary: Any, rows: Array, times: ServiceTime) -> ObservedRun:
    delayed = not name.startswith("d0_")
    batcher = Batcher(service_time=times, max_batch_size=8, max_queue_delay_s=0.01 if delayed else 0.0)
    arrivals = OpenArrivals(rate_per_s=summary["achieved_rps"])
    rules = tuple(DispatchRule) if delayed else (DispatchRule.WHEN_IDLE,)
    overhead_s = float(rows[:, 1].mean()) - summary["server_mean_ms"]["request"] / 1e3
    replayed = []
    for rule in rules:
        _, done, _, _ = batch_loop.run(
            rows[:, 0], batcher.means_s, batcher.cvs, np.array(batcher.wanted), 8, batcher.max_queue_delay_s, 1,
            rule is DispatchRule.WHILE_RUNNING, 1,
        )  # fmt: skip
        replayed.append(np.quantile(done - rows[:, 0], STATISTICS) + overhead_s)
    return ObservedRun(
        name=name,
        clean=summary["client_send_lag_p99_ms"] <= LATE_CLIENT_MS,
        delayed=delayed,
        mean_batch=summary["mean_batch"],
        overhead_s=overhead_s,
        latency_s=np.quantile(rows[:, 1], STATISTICS),
        predicted=tuple(predict_batching(batcher, arrivals, rule=rule) for rule in rules),
        replayed_s=tuple(replayed),
    )


def latencies_s(run: ObservedRun, found: BatchingPrediction) -> Array:
    """Predicted latencies as a client sees them, at STATISTICS."""
    assert found.e2e is not None
    return found.e2e.quantiles(STATISTICS) + run.overhead_s
