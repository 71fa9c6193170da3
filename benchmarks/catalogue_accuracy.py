"""Predictions against the step simulator for every shipped profile: `make bench-catalogue`.

The random configurations of `benchmarks.accuracy_cases` have linear steps and chunked prefill; what ships has neither
alone. Each profile is asked at the lengths that it was measured with, varied, at three loads.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from models.capacity import capacity
from models.continuous_batching import predict
from models.objective import Metric
from models.simulation.replicas import simulate
from models.step_time import ExpertsStepTime, SqrtStepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.profile import EngineProfile, catalogue_names, load_profile

LOADS = (0.3, 0.6, 0.85)
REQUESTS, SEED = 40_000, 77
INPUT_CV = OUTPUT_CV = 0.5
STATISTICS = (0.5, 0.95, 0.99)
METRICS: tuple[Metric, ...] = ("ttft", "itl", "e2e")

Errors = dict[tuple[Metric, float], float]


def kind(profile: EngineProfile) -> str:
    """Form of the step, and whether prompts are split."""
    engine = profile.to_engine()
    form = {SqrtStepTime: "square root", ExpertsStepTime: "experts"}.get(type(engine.step_time), "line")
    return f"{form}, {'chunked' if engine.limits.chunked_prefill else 'whole prompts'}"


def errors(asked: tuple[str, float]) -> tuple[str, float, str, Errors | None]:
    """|Predicted / simulated − 1| of each percentile; None where either is unstable."""
    name, load = asked
    profile = load_profile(name)
    engine = profile.to_engine()
    lengths = sorted({(p.input_tokens, p.output_tokens) for p in profile.spec.measurements})
    # Where prompts are not split, the shortest: many of the longer ones would not fit a step.
    prompt, output = lengths[len(lengths) // 2 if engine.limits.chunked_prefill else 0]
    work = TokenLengths.of(prompt, output, prompt_cv=INPUT_CV, output_cv=OUTPUT_CV)
    rate = load * capacity(engine, work).requests_per_s
    workload = Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=work)
    found = predict(engine, workload, replicas=1)
    seen = simulate(engine, workload, replicas=1, requests=REQUESTS, seed=SEED).prediction
    if not (found.stable and seen.stable):
        return name, load, kind(profile), None
    return (
        name,
        load,
        kind(profile),
        {
            (metric, q): abs(found.laws[metric].quantile(q) / seen.laws[metric].quantile(q) - 1.0)
            for metric in METRICS
            for q in STATISTICS
        },
    )


def main() -> None:
    """Ask everything, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    asked = [(name, load) for name in catalogue_names() for load in LOADS]
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(errors, asked, chunksize=2))
    options.write.write_text(report(found), encoding="utf-8")
    print(f"wrote {options.write}")


def report(found: list[tuple[str, float, str, Errors | None]]) -> str:
    """The page."""
    loads = ", ".join(f"{load:.0%}" for load in LOADS)
    unstable = [f"{name} at {load:.0%}" for name, load, _, each in found if each is None]
    lines = [
        "# Accuracy of the shipped profiles",
        "",
        f"Written by `make bench-catalogue` on {machine()}.",
        "",
        f"Each of the {len(catalogue_names())} profiles at the lengths it was measured with (both coefficients of",
        f"variation {INPUT_CV:g}), one replica, Poisson arrivals, at {loads} of the predicted",
        f"capacity, against {REQUESTS:,} simulated",
        f"requests (seed {SEED}). Without a steady state in the simulator: {', '.join(unstable) or 'none'}.",
        "",
    ]
    groups: dict[str, list[float]] = defaultdict(list)
    for _, load, what, each in found:
        if each is None:
            continue
        for (metric, q), error in each.items():
            for group in ("all", what, f"{what}, load {load:.0%}", f"{what}, {metric} p{q * 100:g}"):
                groups[group].append(error)
    lines += ["|  | percentiles | median | 90th percentile | within 8 % |", "| --- | --- | --- | --- | --- |"]
    for group in sorted(groups, key=lambda name: (name != "all", name)):
        values = np.array(groups[group])
        lines.append(
            f"| {group} | {values.size} | {np.median(values):.1%} | {np.quantile(values, 0.9):.1%} "
            f"| {np.mean(values <= 0.08):.0%} |"
        )
    worst = sorted(
        (
            (max(each.values()), name, load, max(each, key=lambda key: each[key]))
            for name, load, _, each in found
            if each
        ),
        reverse=True,
    )[:12]
    lines += ["", "The worst percentile of each of the twelve worst:", "", "| profile | load | percentile | error |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [f"| {name} | {load:.0%} | {m} p{q * 100:g} | {error:.0%} |" for error, name, load, (m, q) in worst]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
