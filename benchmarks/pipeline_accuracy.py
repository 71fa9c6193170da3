"""Pipelines predicted and simulated: `make bench-pipelines`."""

from __future__ import annotations

import argparse
import textwrap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from benchmarks.pipeline_cases import PipelineCase, pipeline_case
from models.latency_law import LatencyLaw
from models.objective import Metric
from planner.pipeline_model import PipelineModel
from planner.pipeline_simulation import simulate_plan

ROOT = Path(__file__).resolve().parent.parent
SEED = 2026
SHARES = (0.5, 0.95, 0.99)
NAMES = ("p50", "p95", "p99")
GOALS = (0.05, None, 0.10)

_WIDTH = 120
_CASES = """\
{count} random pipelines (seed {seed}) of 2 to 6 stages: series, fan-out of 2 to 24 calls, branches that join,
stages by chance or in each other's place, and stages on the same GPUs; dynamic batchers (batch limit 1 to 32, 1 or 2
instances), delays, and in two of three at the end an engine that makes tokens (vLLM or TensorRT-LLM), each stage at 1
to 6 replicas and 30 to 90 % of its capacity (stages on the same GPUs: together); three in ten with arrivals of
burstiness 0.5 to 3. Each is predicted stage by stage by `planner.pipeline_model` and simulated request by request by
`models.simulation.pipeline` (100,000 or 200,000 requests), where streams, batches and stages depend on each other as
they do. An error is |predicted / simulated − 1|, and without end where a stage is wrongly held to be overloaded."""
_SHARED = """What the two share: the rules of a batcher. Laws of batchers whose calls come several at once are found by
Monte Carlo of that stage alone, with the loop of the simulator; what this page measures there is the error of taking
the network apart. Engines that make tokens, and batchers whose requests come one by one, are predicted by formulas.
Stages on the same GPUs are simulated by another program, event by event; that it agrees with the first where nothing is
shared is a test."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A case, signed relative errors in the order of NAMES, and how long the prediction took."""

    case: PipelineCase
    errors: dict[Metric, Array]
    took_s: float
    overloaded: bool
    """Whether both the prediction and the simulation say that the queues grow for ever."""


def main() -> None:
    """Score everything, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "pipeline-accuracy.md")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        scores = list(pool.map(scored, range(options.cases), chunksize=5))
    text = report(scores)
    options.write.write_text(text, encoding="utf-8")
    print(text)


def scored(number: int) -> Scored:
    """One case."""
    case = pipeline_case(number, SEED)
    began = time.perf_counter()
    found = PipelineModel(case.pipeline).answer(case.counts)
    took = time.perf_counter() - began
    requests = 100_000 if case.makes_tokens else 200_000
    seen = simulate_plan(case.pipeline, case.counts, requests=requests, seed=number + 1)
    laws: dict[Metric, LatencyLaw] = {"e2e": seen.e2e}
    if seen.ttft is not None:
        laws["ttft"] = seen.ttft
    errors = {
        metric: found.laws[metric].quantiles(SHARES) / law.quantiles(SHARES) - 1.0
        if found.stable
        else np.full(len(SHARES), np.inf)
        for metric, law in laws.items()
    }
    return Scored(case=case, errors=errors, took_s=took, overloaded=not found.stable and not seen.settled)


def report(scores: Sequence[Scored]) -> str:
    """The page."""
    times = np.array([each.took_s for each in scores])
    drawn, scores = len(scores), [each for each in scores if not each.overloaded]
    lines = [
        "# Accuracy of pipelines",
        "",
        f"Written by `make bench-pipelines` on {datetime.now(UTC).date()}: {machine()}.",
        "",
        *textwrap.wrap(_CASES.format(count=drawn, seed=SEED), _WIDTH),
        "",
        *textwrap.wrap(_SHARED, _WIDTH),
        "",
        "## Against the goals",
        "",
        "| | | cases | median | 90th percentile | goal | within the goal |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *_rows(scores, "e2e"),
        *_rows([each for each in scores if "ttft" in each.errors], "ttft"),
        "",
        f"Left out: {drawn - len(scores)} whose queues grow for ever, as predicted and as simulated (on shared GPUs",
        "small batches may need more than the full ones that a load is counted by).",
        "",
        f"A prediction takes {np.median(times):.1f} s in the median, {np.quantile(times, 0.9):.1f} s in nine of ten.",
        "",
        "## Where it is weak",
        "",
        "End to end; signed errors are predicted / simulated − 1 in the mean.",
        "",
        "| | cases | p50, median | 90th | signed | p99, median | 90th | signed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row for title, of in _KINDS.items() for row in _regimes(scores, title, of)),
    ]
    return "\n".join(lines) + "\n"


def _rows(scores: Sequence[Scored], metric: Metric) -> list[str]:
    errors = np.abs(np.array([each.errors[metric] for each in scores]))
    rows = []
    for column, (name, goal) in enumerate(zip(NAMES, GOALS, strict=True)):
        middle, ninth = np.quantile(errors[:, column], (0.5, 0.9), method="inverted_cdf")
        aim = "" if goal is None else f"{goal:.0%}"
        within = "" if goal is None else f"{np.mean(errors[:, column] <= goal):.0%}"
        rows.append(f"| {metric} | {name} | {len(scores)} | {middle:.1%} | {ninth:.1%} | {aim} | {within} |")
    return rows


_KINDS: dict[str, Callable[[PipelineCase], str]] = {
    "shape": lambda case: case.shape,
    "engine": lambda case: "ends in an engine that makes tokens" if case.makes_tokens else "batchers alone",
    "arrivals": lambda case: "Poisson" if case.pipeline.burstiness == 1.0 else "other",
    "busiest stage": lambda case: next(f"below {top:.0%}" for top in (0.60, 0.75, 0.91) if case.most_load < top),
}


def _regimes(scores: Sequence[Scored], title: str, of: Callable[[PipelineCase], str]) -> list[str]:
    rows = []
    for name in sorted({of(each.case) for each in scores}):
        errors = np.array([each.errors["e2e"] for each in scores if of(each.case) == name])
        cells = []
        for column in (0, 2):
            middle, ninth = np.quantile(np.abs(errors[:, column]), (0.5, 0.9), method="inverted_cdf")
            cells += [f"{middle:.1%}", f"{ninth:.1%}", f"{errors[np.isfinite(errors[:, column]), column].mean():+.1%}"]
        rows.append(f"| {title}: {name} | {len(errors)} | {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main()
