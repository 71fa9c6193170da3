"""What the step simulator observed of a case, kept in a file so that a second run is quick."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_cases import Case, saturation_rate, workload
from benchmarks.source_bytes import source_bytes
from models.objective import Metric, Objective
from models.simulation.replicas import Simulation, simulate
from models.workload import OpenArrivals

METRICS: tuple[Metric, ...] = ("ttft", "itl", "e2e")
QUANTILES = (0.5, 0.95, 0.99)
LEVELS = np.concatenate([np.arange(1, 900) / 1000, np.arange(1800, 2000) / 2000]).tolist()
MARGIN = 1.03
"""Tight objectives are so much above what a count reaches."""
TIMES = {"ttft": (1.5, 10.0), "itl": (1.2, 5.0), "e2e": (1.2, 3.0)}
"""Free objectives allow between so many times what an engine at rest reaches."""
_AT_REST = 0.02
_MOST_REPLICAS = 256
SCORED: tuple[tuple[Metric, int], ...] = (("ttft", 2), ("itl", 1), ("e2e", 2))
"""Metric and percentile, by its place in `QUANTILES`, that objectives are set for."""
_SEED = 3
_SOURCES = ("models/simulation", "models/step_time.py", "models/token_lengths.py", "benchmarks/accuracy_cases.py")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One simulated case: laws as quantiles at `LEVELS`, and standard errors of the scored ones."""

    saturation: float
    stable: bool
    laws: dict[str, list[float]]
    quantiles: dict[str, list[float]]
    errors: dict[str, list[float]]
    queue_mean_s: float
    preemptions: float
    least_replicas: int | None
    """The least replicas by simulation for tight objectives, just above what the case's own number reaches, if asked
    for."""
    free_limits: dict[str, float] | None
    """Limits of free objectives by metric, seconds, if asked for."""
    free_replicas: int | None
    """The least replicas by simulation that hold them; none where more than a simulation can have are needed."""


class Observations:
    """Simulated cases by configuration, in one JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def get(self, key: str) -> Observed | None:
        found = self._kept.get(key)
        return None if found is None else Observed(**found)

    def keep(self, key: str, observed: Observed) -> None:
        self._kept[key] = asdict(observed)

    def write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._kept))


def key(case: Case, requests: int, *, search: bool) -> str:
    """Everything that a simulation depends on: configuration, length, and the simulator's own source."""
    question = f"{case!r} {requests} {search} {_SEED} {MARGIN}".encode()
    return hashlib.sha256(question + source_bytes(_SOURCES)).hexdigest()


def observe(case: Case, requests: int, *, search: bool) -> Observed:
    """Simulate a case, and with `search` also find its least number of replicas."""
    saturation = saturation_rate(case)
    seen = _simulate(case, saturation, case.replicas, requests)
    laws = seen.prediction.laws
    asked = search and seen.prediction.stable
    limits = _free_limits(case, saturation, requests) if asked else None
    return Observed(
        saturation=saturation,
        stable=seen.prediction.stable,
        laws={metric: [laws[metric].quantile(q) for q in LEVELS] for metric in METRICS if metric in laws},
        quantiles=_quantiles(seen),
        errors={metric: [seen.standard_error(metric, q) for q in QUANTILES] for metric in ("ttft", "e2e")},
        queue_mean_s=float(seen.samples["queue"].mean()),
        preemptions=seen.prediction.preemptions_per_request,
        least_replicas=_least(case, saturation, seen, requests) if asked else None,
        free_limits=limits,
        free_replicas=_least_free(case, saturation, limits, requests) if limits else None,
    )


def _quantiles(seen: Simulation) -> dict[str, list[float]]:
    laws = seen.prediction.laws
    return {metric: [laws[metric].quantile(q) for q in QUANTILES] for metric in METRICS if metric in laws}


def tight_objectives(quantiles: dict[str, list[float]]) -> list[Objective]:
    """Objectives a little above the simulated p99 of ttft and e2e and p95 of itl."""
    return [
        Objective(metric=metric, quantile=QUANTILES[index], limit_s=MARGIN * quantiles[metric][index])
        for metric, index in SCORED
        if metric in quantiles
    ]


def free_objectives(limits: dict[str, float]) -> list[Objective]:
    """Objectives that know nothing of counts."""
    return [
        Objective(metric=metric, quantile=QUANTILES[index], limit_s=limits[metric])
        for metric, index in SCORED
        if metric in limits
    ]


def _free_limits(case: Case, saturation: float, requests: int) -> dict[str, float]:
    """A random multiple, evenly in logarithms, of what one replica at rest reaches."""
    rng = np.random.default_rng([case.number, 5])
    rate = _AT_REST * saturation
    calm = replace(workload(case, saturation), arrivals=OpenArrivals(rate_per_s=rate))
    rest = _quantiles(simulate(case.engine, calm, replicas=1, requests=max(requests // 8, 1_000), seed=_SEED))
    limits: dict[str, float] = {}
    for metric, index in SCORED:
        low, high = TIMES[metric]
        times = low * (high / low) ** rng.uniform()
        if metric in rest:
            limits[metric] = rest[metric][index] * times
    return limits


def _least_free(case: Case, saturation: float, limits: dict[str, float], requests: int) -> int | None:
    """The least count that holds, by galloping and bisection."""
    objectives = free_objectives(limits)

    def holds(replicas: int) -> bool:
        prediction = _simulate(case, saturation, replicas, requests // 2).prediction
        return all(prediction.meets(objective) for objective in objectives)

    fails, good = max(0, int(case.load * case.replicas)), case.replicas
    while not holds(good):
        fails, good = good, 2 * good
        if good > _MOST_REPLICAS:
            return None
    while good - fails > 1:
        middle = (good + fails) // 2
        fails, good = (fails, middle) if holds(middle) else (middle, good)
    return good


def _simulate(case: Case, saturation: float, replicas: int, requests: int) -> Simulation:
    return simulate(
        case.engine,
        workload(case, saturation),
        replicas=replicas,
        routing=case.routing,
        requests=requests,
        seed=_SEED,
    )


def _least(case: Case, saturation: float, seen: Simulation, requests: int) -> int:
    """Search downwards from the case's own number, which meets the objectives by their making."""
    limits = tight_objectives(_quantiles(seen))
    for fewer in count(1):
        replicas = case.replicas - fewer
        if replicas < 1:
            return 1
        prediction = _simulate(case, saturation, replicas, requests).prediction
        if not all(prediction.meets(limit) for limit in limits):
            return replicas + 1
    raise AssertionError
