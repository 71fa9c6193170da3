"""Measure `planner pack`: time and gap of 50 models on 200 GPUs, and shares of a GPU against a simulation."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from benchmarks.packing_cases import write_case
from benchmarks.shared_gpu import DISCIPLINES, Neighbour, simulate
from models.errors import NoFeasiblePlan
from models.workload import OpenArrivals
from planner.packing_fields import read_pack
from planner.packing_plan import ask, pack
from planner.packing_tenant import gpu_kinds, tenants
from planner.profile import EngineProfile, parse_profile
from planner.service import Service
from planner.stretched_service import with_share

SEEDS = (1, 2, 3, 4, 5, 6)
LIMIT_S = 10.0
PAIRS, REQUESTS = 24, 20_000
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One packing."""

    seed: int
    mig: bool
    sizing_s: float
    search_s: float
    search_cpu_s: float
    load: float
    """Processes that wanted the processor in the last minute, as the system counts them."""
    cost: float
    gpus: int
    gap: float


def packed(seed: int, *, mig: bool) -> Packed:
    """Pack one random fleet; every answer is checked anew within `pack`."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_case(Path(folder), seed=seed, mig=mig)
        began = time.monotonic()
        file = read_pack(path)
        question = ask(file, path, gpu_kinds(file, str(path)), tenants(file, path))
        sized, cpu = time.monotonic(), time.process_time()
        plan = pack(question, time_limit_s=LIMIT_S, clock=time.monotonic)
        return Packed(
            seed=seed,
            mig=mig,
            sizing_s=sized - began,
            search_s=time.monotonic() - sized,
            search_cpu_s=time.process_time() - cpu,
            load=os.getloadavg()[0],
            cost=plan.cost,
            gpus=len(plan.gpus),
            gap=plan.packing.gap,
        )


def _profile(first: float, full: float, largest: int) -> EngineProfile:
    return parse_profile(
        f"""
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {{name: shared}}
spec:
  engine: triton
  model: shared
  gpu: {{type: L4-24GB}}
  limits: {{maxBatchSize: {largest}}}
  serviceTime: [{{batch: 1, mean: {first}}}, {{batch: {largest}, mean: {full}}}]
""",
        name="shared",
    )


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A prediction with a share beside what a discipline did."""

    discipline: str
    halves: bool
    """Whether both had the same share."""
    quantile: float
    error: float
    """(predicted − simulated) / simulated: above 0 is on the safe side."""


def shared(number: int) -> Iterator[Shared]:
    """Two random batchers with shares of one GPU, equal ones for every second pair, at 40 to 85 % of their shares."""
    rng = np.random.default_rng([7, number])
    share = 0.5 if number % 2 else float(rng.uniform(0.2, 0.8))
    neighbours, predicted = [], []
    for part in (share, 1.0 - share):
        largest = int(rng.choice([2, 4, 8, 16]))
        first = float(np.exp(rng.uniform(np.log(0.004), np.log(0.06))))
        full = first * (1.0 + float(rng.uniform(0.1, 0.5)) * (largest - 1))
        profile = _profile(first, full, largest)
        service = Service(profile=profile, arrivals=OpenArrivals(rate_per_s=1.0))
        rate = float(rng.uniform(0.4, 0.85)) * part * service.capacity_per_s
        answer = with_share(service.at_rate(rate), part).predict(1)
        predicted.append([answer.laws["e2e"].quantile(q) for q in QUANTILES])
        neighbours.append(Neighbour(rate_per_s=rate, means_s=profile.to_batcher().means_s, share=part))
    for discipline in DISCIPLINES:
        seen = simulate(neighbours, discipline=discipline, requests=REQUESTS, seed=number)
        for own, latencies in zip(predicted, seen, strict=True):
            for q, value in zip(QUANTILES, own, strict=True):
                found = float(np.quantile(latencies, q))
                yield Shared(discipline=discipline, halves=share == 0.5, quantile=q, error=value / found - 1.0)


def report(runs: Sequence[Packed], compared: Sequence[Shared]) -> str:
    """The page."""
    lines = [
        "# Packing: measured",
        "",
        f"Written by `make bench-packing` on {datetime.now(UTC).date()}, {machine()}.",
        "",
        "## 50 models on 200 GPUs",
        "",
        _FLEETS,
        "",
        "| seed | slices | sizing | search | its processor time | system load | GPUs | $ an hour | gap |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.seed} | {'MIG' if each.mig else '—'} | {each.sizing_s:.1f} s | {each.search_s:.1f} s | "
        f"{each.search_cpu_s:.1f} s | {each.load:.1f} | {each.gpus} | {each.cost:,.2f} | {100 * each.gap:.2f} % |"
        for each in runs
    ]
    within = sum(each.gap <= 0.01 for each in runs)
    lines += [
        "",
        f"Within 1 % of the bound: {within} of {len(runs)}. A system load above the number of cores means that the",
        "search had to share the processor: then its processor time is the fairer measure, and a longer limit helps.",
        "",
        "## Shares of a GPU against a simulation",
        "",
        f"{PAIRS} pairs of batchers on one GPU, at 40 to 85 % of their shares, {REQUESTS:,} requests and more a stream",
        "(`benchmarks/shared_gpu.py`, which shares no code with the models). No interference: only what the division",
        "of time does. Error is predicted over simulated, less one; above zero the prediction is on the safe side.",
        "",
        "| shares | the GPU divides its time | percentile | median error | 5 % to 95 % | too low by over 5 % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for halves in (True, False):
        for discipline in DISCIPLINES:
            for q in QUANTILES:
                own = (discipline, halves, q)
                errors = np.array([x.error for x in compared if (x.discipline, x.halves, x.quantile) == own])
                what = "1/2 each" if halves else "unequal"
                lines.append(f"| {what} | {discipline} | p{100 * q:.0f} | {_errors(errors)} |")
    return "\n".join([*lines, "", _WHY])


def _errors(errors: NDArray[np.float64]) -> str:
    low, high = np.quantile(errors, [0.05, 0.95])
    return f"{np.median(errors):+.0%} | {low:+.0%} to {high:+.0%} | {np.mean(errors < -0.05):.0%}"


_FLEETS = """\
Random fleets (`benchmarks/packing_cases.py`): about 46 dynamic batchers that are measured on both types and 4
language models; 80 A100 at $2.50 and 120 L4 at $0.80 an hour, `division: mps`; a fifth of the models in two
replicas that are spread. `--time-limit 10s`, of which seven tenths go to the packing. The gap is to the lower
bound of the linear relaxation (Farley's), among the options that are considered: a few numbers of replicas a
model, shares in steps of 2 %. Every answer was checked anew, objectives included. The goal: in 10 s within 1 %,
or the gap printed."""

_WHY = """Where the GPU honours shares (`division: mps`; CUDA MPS with an active thread percentage comes nearest) a
replica gets more than its share whenever a neighbour idles, which the prediction leaves out: it asks for more
GPU than a perfect model of sharing would. Where the busy take equal turns (plain time slicing) equal shares are
as safe and unequal ones are not: a replica that was meant to have most of a GPU is later than predicted. That
is why `division: turns`, the default, grants each of q replicas 1/q and nothing more. Batches that run to their
end one at a time are safe under neither: a quick model behind a slow one waits for its whole batch, fifty times
as long as its own in the worst pair. Kernels of several models in one Triton server interleave, so that it is
between equal turns and this; the answer warns where a neighbour's batch is longer than a model's objective
leaves room for. MIG slices divide nothing and are not concerned.

There is no measured interference of caches and memory bandwidth among the project's data: 1.1 is a stated
assumption (`planner/packing_tenant.py`), told in every answer, until `timeSharing.interference` says what was
measured.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args()
    runs = []
    for seed, mig in [*((seed, False) for seed in SEEDS[: options.seeds]), (SEEDS[0], True)]:
        try:
            runs.append(packed(seed, mig=mig))
            print(runs[-1])
        except NoFeasiblePlan as error:
            print(f"seed {seed}: {error}")
    compared = [each for number in range(PAIRS) for each in shared(number)]
    options.write.write_text(report(runs, compared), encoding="utf-8")
    print(options.write.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
