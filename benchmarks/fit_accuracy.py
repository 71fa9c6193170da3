"""How well a fit predicts measured points that it has not seen: `make bench-fit`.

On the measured curves that the project keeps (`planner/catalogue/sources`): every curve of one pair of lengths with at
least four loads, each load left out in turn; and a fit to one pair of lengths asked for all others of its set-up.
Repetitions of one point in the source count once.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.closed_to_open import section
from benchmarks.machine import machine
from models.engine import EngineLimits
from models.errors import InvalidInput
from models.mean_step import relative_deviation, steady_point
from models.measurement import Measurement
from models.step_fit import StepFit, fit
from models.step_terms import deviations_at
from planner.hardware import find_gpu, find_model, gpu_name, known_of
from planner.memory_budget import memory_budget
from scripts.silicon_source import SOURCE, measurement_of, not_one_replica

SetUp = tuple[str, ...]
Lengths = tuple[float, float]
Curves = dict[Lengths, list[Measurement]]
Error = tuple[str, float, float, bool]
"""Where (`lowest`, `highest`, `between`, `across`), errors of TPOT and TTFT (relative), whether TPOT is in the band."""

LEAST_LOADS = 4
GOALS = {"left out": (0.025, 0.07, 0.10, 0.30), "across lengths": (0.08, 0.25, None, None)}
_POINT = ("concurrency", "input_tokens", "output_tokens", "ttft_ms", "tpot_ms", "source", "measured")


def curves() -> dict[SetUp, tuple[dict[str, str], Curves]]:
    """Every set-up with a row of it, and its curves with enough loads."""
    found: dict[SetUp, tuple[dict[str, str], dict[Lengths, dict[Measurement, None]]]] = {}
    with SOURCE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            key = tuple(value for name, value in row.items() if name not in _POINT)
            point = measurement_of(row)
            _, known = found.setdefault(key, (row, defaultdict(dict)))
            known[point.input_tokens, point.output_tokens][point] = None
    return {
        key: (row, kept)
        for key, (row, known) in found.items()
        if (kept := {pair: list(points) for pair, points in known.items() if _loads(points) >= LEAST_LOADS})
    }


def _loads(points: Iterable[Measurement]) -> int:
    return len({point.concurrency for point in points})


def _fitted(row: dict[str, str], points: list[Measurement]) -> tuple[StepFit, EngineLimits]:
    """The fit with the priors and the estimate of KV memory that a profile of this set-up would have."""
    gpu, shape = find_gpu(gpu_name(row["gpu"])), find_model(row["model"])
    precision = row["precision"] or "bf16"
    tensor, pipeline = int(row["tensor_parallel"]), int(row["pipeline_parallel"])
    gpus = tensor * pipeline * max(1, int(row["attention_data_parallel"] or 1))
    prior, experts = known_of(gpu, shape, precision=precision, gpus_per_replica=gpus)
    most = max(point.concurrency or 1.0 for point in points)
    longest = max(point.input_tokens for point in points)
    limits = EngineLimits(max_num_seqs=max(1024, int(most)), max_num_batched_tokens=max(8192, int(longest)))
    if gpu and shape:
        budget = memory_budget(
            gpu,
            shape,
            precision=precision,
            limits=limits,
            gpus=tensor * pipeline,
            pipeline_parallel=pipeline,
            kv_bytes_per_value=1.0 if precision in ("fp8", "fp4", "int4") else 2.0,
        )
        if budget is not None:
            limits = replace(limits, kv_cache_tokens=max(budget.kv_tokens, *(_held(point) for point in points)))
    return fit(points, limits=limits, prior=prior, experts=experts), limits


def _held(point: Measurement) -> int:
    """KV tokens that the point's running sequences held, and a whole request at least."""
    gap, rate = point.tpot_s or 0.0, point.rate_per_s or 0.0
    running = rate * point.decode_steps * gap
    return int(
        max(running * (point.input_tokens + 0.5 * point.output_tokens), point.input_tokens + point.output_tokens)
    )


def _error(fitted: tuple[StepFit, EngineLimits], point: Measurement, where: str) -> Error:
    result, limits = fitted
    at = steady_point(result.step_time, point, limits, wait=result.wait)
    assert point.tpot_s is not None
    assert point.ttft_s is not None
    tpot = at.tpot_s / point.tpot_s - 1.0
    deviation = math.hypot(result.noise, relative_deviation(result.uncertainty, result.step_time, point, at, limits))
    return where, tpot, at.ttft_s / point.ttft_s - 1.0, abs(tpot) <= deviations_at(0.95) * deviation


def left_out(asked: tuple[dict[str, str], list[Measurement]]) -> list[Error]:
    """Errors at each load of a curve, by a fit to its other loads."""
    row, points = asked
    loads = sorted({point.concurrency or 0.0 for point in points})
    errors = []
    for load in loads:
        rest = [point for point in points if point.concurrency != load]
        where = "lowest" if load == loads[0] else "highest" if load == loads[-1] else "between"
        fitted = _fitted(row, rest)
        errors += [_error(fitted, point, where) for point in points if point.concurrency == load]
    return errors


def across(asked: tuple[dict[str, str], Curves]) -> list[Error]:
    """Errors at all other lengths of a set-up, by a fit to one pair."""
    row, known = asked
    errors = []
    for pair, points in known.items():
        try:
            fitted = _fitted(row, points)
        except InvalidInput:
            continue
        errors += [
            _error(fitted, point, "across") for other, those in known.items() if other != pair for point in those
        ]
    return errors


def main() -> None:
    """Fit everything, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    known = curves()
    singles = [(row, points) for row, pairs in known.values() for points in pairs.values()]
    several = [(row, pairs) for row, pairs in known.values() if len(pairs) > 1]
    with ProcessPoolExecutor(options.jobs) as pool:
        alone = list(pool.map(left_out, singles, chunksize=4))
        others = list(pool.map(across, several, chunksize=2))
    groups: dict[str, list[Error]] = defaultdict(list)
    for (row, _), errors in zip(singles, alone, strict=True):
        groups["left out"] += errors
        for error in errors:
            groups[f"left out, {error[0]} load"].append(error)
        groups[f"left out, {row['engine']}"] += errors
        if not not_one_replica(row):
            groups["left out, plain replicas of one node"] += errors
    for (row, _), errors in zip(several, others, strict=True):
        groups["across lengths"] += errors
        groups[f"across lengths, {row['engine']}"] += errors
    text = f"{report(groups, len(singles), len(several))}\n{section()}"
    options.write.write_text(text, encoding="utf-8")
    print(f"wrote {options.write}")


def report(groups: dict[str, list[Error]], singles: int, several: int) -> str:
    """The page."""
    lines = [
        "# Accuracy of the fit",
        "",
        f"Written by `make bench-fit` on {machine()}.",
        "",
        f"{singles} measured curves of at least {LEAST_LOADS} loads, each load left out in turn; {several} set-ups",
        "with several pairs of lengths, each pair alone predicting the others. Relative errors. TTFT is that of closed",
        "loops, with their users' waiting for one another, which plans for open arrivals leave out. The band is of the",
        "noise and the terms together (`stepTimeUncertainty`).",
        "",
        "|  | points | TPOT median | 90th percentile | in the band of nine in ten | TTFT median | 90th percentile |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, errors in groups.items():
        tpot, ttft = (np.abs([error[index] for error in errors]) for index in (1, 2))
        figures = [np.median(tpot), np.quantile(tpot, 0.9), np.median(ttft), np.quantile(ttft, 0.9)]
        goals = GOALS.get(name, (None,) * 4)
        cells = [
            f"{figure:.1%}"
            + ("" if goal is None else f" (goal {goal:.1%}: {'met' if figure <= goal else '**not met**'})")
            for figure, goal in zip(figures, goals, strict=True)
        ]
        cells.insert(2, f"{np.mean([error[3] for error in errors]):.0%}")
        lines.append(f"| {name} | {len(errors)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
