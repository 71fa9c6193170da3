"""What the step simulator observed of a case, kept in a file so that a second run is quick."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_cases import Case, saturation_rate, workload
from models.objective import Metric, Objective
from models.simulation.replicas import Simulation, simulate

METRICS: tuple[Metric, ...] = ("ttft", "itl", "e2e")
QUANTILES = (0.5, 0.95, 0.99)
LEVELS = np.concatenate([np.arange(1, 900) / 1000, np.arange(1800, 2000) / 2000]).tolist()
MARGIN = 1.03
"""Tight objectives are so much above what a count reaches."""
ALONE = 2.0
"""Objectives are drawn up to so many times what a count reaches where one fewer is unstable."""
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
    fewer: dict[str, list[float]] | None
    """Quantiles with one replica fewer, if asked for; none where that is unstable."""


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
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{case!r} {requests} {search} {_SEED} {MARGIN}".encode())
    for source in _SOURCES:
        path = root / source
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def observe(case: Case, requests: int, *, search: bool) -> Observed:
    """Simulate a case, and with `search` also find its least number of replicas."""
    saturation = saturation_rate(case)
    seen = _simulate(case, saturation, case.replicas, requests)
    laws = seen.prediction.laws
    asked = search and seen.prediction.stable
    return Observed(
        saturation=saturation,
        stable=seen.prediction.stable,
        laws={metric: [laws[metric].quantile(q) for q in LEVELS] for metric in METRICS if metric in laws},
        quantiles=_quantiles(seen),
        errors={metric: [seen.standard_error(metric, q) for q in QUANTILES] for metric in ("ttft", "e2e")},
        queue_mean_s=float(seen.samples["queue"].mean()),
        preemptions=seen.prediction.preemptions_per_request,
        least_replicas=_least(case, saturation, seen, requests) if asked else None,
        fewer=_fewer(case, saturation, requests) if asked else None,
    )


def _quantiles(seen: Simulation) -> dict[str, list[float]]:
    laws = seen.prediction.laws
    return {metric: [laws[metric].quantile(q) for q in QUANTILES] for metric in METRICS if metric in laws}


def _fewer(case: Case, saturation: float, requests: int) -> dict[str, list[float]]:
    return {} if case.replicas == 1 else _quantiles(_simulate(case, saturation, case.replicas - 1, requests))


def tight_objectives(quantiles: dict[str, list[float]]) -> list[Objective]:
    """Objectives a little above the simulated p99 of ttft and e2e and p95 of itl."""
    return [
        Objective(metric=metric, quantile=QUANTILES[index], limit_s=MARGIN * quantiles[metric][index])
        for metric, index in SCORED
        if metric in quantiles
    ]


def drawn_objectives(case: Case, observed: Observed) -> list[Objective]:
    """Objectives at random, evenly in logarithms, between what the case's number of replicas reaches and one fewer.

    So a limit is as likely to fall near to one count as to the next, as limits do that know nothing of counts; the
    case's own number is the least that holds them, by their making.
    """
    rng = np.random.default_rng([case.number, 5])
    fewer = observed.fewer or {}
    drawn = []
    for metric, index in SCORED:
        if metric in observed.quantiles:
            here = observed.quantiles[metric][index]
            beyond = max(fewer[metric][index], here) if metric in fewer else ALONE * here
            limit = here * (beyond / here) ** rng.uniform()
            drawn.append(Objective(metric=metric, quantile=QUANTILES[index], limit_s=limit))
    return drawn


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
