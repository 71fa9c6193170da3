"""A profile learned from an engine in service: whether its loads differ enough, the fit, and the document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from models.cached_prompts import cached_share, partly_cached
from models.engine import EngineLimits
from models.errors import InvalidInput
from models.mean_step import steady_point
from models.measurement import Measurement
from models.step_fit import MIN_POINTS_FOR_A_CHOICE, StepFit, fit
from planner.hardware import find_gpu, find_model, known_of, precision_of
from planner.importers.benchmark_run import BenchmarkRun
from planner.profile_document import measurement_row, profile_document

LEAST_SPREAD = 1.2
"""Loads within this factor of each other do not tell the terms of a step apart."""
NOTABLE_HITS = 0.01
"""Share of the prompt tokens found in the prefix cache that a note is worth."""
BUSY_SHARE = 0.7
"""Share of the sequences that an engine may run, worth a point near its limit."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What of a profile the metrics do not say."""

    name: str
    engine: Literal["vllm", "triton-trtllm", "triton"]
    engine_version: str
    model: str
    quantization: str
    gpu: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ObservedLoad:
    """A run, and how many requests ran at a time."""

    run: BenchmarkRun
    running: float


@dataclass(frozen=True, kw_only=True)
class LearnedProfile:
    """A profile's document, its fit, and what to tell the user."""

    document: dict[str, Any]
    loads: tuple[ObservedLoad, ...]
    """The steady ones, in ascending order."""
    fit: StepFit
    warnings: tuple[str, ...]


def learn(
    steady: Sequence[ObservedLoad],
    saturated: Sequence[ObservedLoad],
    *,
    identity: Identity,
    limits: EngineLimits,
    provenance: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> LearnedProfile:
    """Fit the step time to the steady loads. Raises InvalidInput where they do not differ enough, with what to try."""
    require_spread(steady, limits)
    points = [load.run.measurement for load in steady]
    prior, experts = known_of(
        find_gpu(identity.gpu["type"]),
        find_model(identity.model),
        precision=precision_of(identity.quantization),
        gpus_per_replica=identity.gpu["perReplica"],
    )
    fitted = fit(points, limits=limits, prior=prior, experts=experts)
    warnings = [*dict.fromkeys(note for load in steady for note in load.run.notes), *_hits(points), *fitted.notes]
    if len(points) < MIN_POINTS_FOR_A_CHOICE:
        warnings.append(f"next, let it serve {next_load(steady, limits, fitted)}")
    source = {
        **provenance,
        "points": fitted.points,
        "medianError": round(fitted.median_error, 4),
        **(
            {}
            if fitted.cross_validated_error is None
            else {"crossValidatedError": round(fitted.cross_validated_error, 4)}
        ),
        "notes": [*notes, *warnings],
    }
    document = profile_document(
        identity.name,
        engine=identity.engine,
        version=identity.engine_version,
        model=identity.model,
        quantization=identity.quantization,
        gpu=identity.gpu,
        limits=limits,
        step_time=fitted.step_time,
        uncertainty=fitted.uncertainty,
        noise=fitted.noise,
        overhead_s=fitted.overhead_s,
        measurements=[_row(load) for load in (*steady, *saturated)],
        provenance=source,
    )
    return LearnedProfile(document=document, loads=tuple(steady), fit=fitted, warnings=tuple(warnings))


def _hits(points: Sequence[Measurement]) -> Iterator[str]:
    """What the prefix cache held, and how to size with it."""
    shares = [cached_share(point) for point in points]
    if max(shares) < NOTABLE_HITS:
        return
    found = _between([100.0 * share for share in shares])
    yield (
        f"{found} % of the prompt tokens were in the prefix cache: the time per prompt token is that of the others; "
        "where as many will be found, size with --prefix-hit-rate"
    )


def require_spread(steady: Sequence[ObservedLoad], limits: EngineLimits) -> None:
    """Raise InvalidInput where the loads are too much alike to tell what a step costs."""
    if not steady:
        raise InvalidInput(
            "no window with a steady load: nothing to learn from",
            remedy="take a longer --last, another --until, or a shorter --window if the load changes fast",
        )
    running = [load.running for load in steady]
    if max(running) < LEAST_SPREAD * min(running):
        rates = [_rate(load) for load in steady]
        raise InvalidInput(
            f"the data do not vary enough to learn from: {_between(rates)} requests per second and replica, "
            f"{_between(running)} of them running, all within {LEAST_SPREAD - 1.0:.0%} of each other",
            remedy=f"let it serve {next_load(steady, limits, None)}, or take a longer --last that has quiet and busy "
            "hours",
        )


def next_load(steady: Sequence[ObservedLoad], limits: EngineLimits, fitted: StepFit | None) -> str:
    """The load that would teach most: near the limit, else a single request at a time, else the widest gap."""
    ordered = sorted(steady, key=lambda load: load.running)
    busiest, quietest = ordered[-1], ordered[0]
    top = BUSY_SHARE * limits.max_num_seqs
    if busiest.running < 0.5 * top:
        target = min(top, 3.0 * busiest.running)
        near = busiest
    elif quietest.running > 2.0:
        target, near = 1.0, quietest
    else:
        pairs = pairwise(ordered)
        near, above = max(pairs, key=lambda pair: pair[1].running / pair[0].running, default=(quietest, busiest))
        target = math.sqrt(near.running * above.running)
    return (
        f"about {_rate_for(target, near, limits, fitted):.2g} requests per second and replica for a while (some "
        f"{target:.2g} running at a time)"
    )


def _rate_for(running: float, near: ObservedLoad, limits: EngineLimits, fitted: StepFit | None) -> float:
    """The arrival rate at which so many run: from the fit, else as if each took as long as at a known load."""
    if fitted is None:
        return _rate(near) * running / near.running
    point = near.run.measurement
    closed = Measurement(
        concurrency=max(1.0, running), input_tokens=point.prompt_tokens, output_tokens=point.output_tokens
    )
    closed = partly_cached(closed, cached_share(point))
    return steady_point(fitted.step_time, closed, limits, wait=fitted.wait).requests_per_s


def _rate(load: ObservedLoad) -> float:
    return load.run.measurement.arrival_rate_per_s or 0.0


def _between(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _row(load: ObservedLoad) -> dict[str, Any]:
    run = load.run
    row = {
        name: {key: _short(entry) for key, entry in value.items()} if isinstance(value, dict) else _short(value)
        for name, value in measurement_row(run.measurement).items()
    }
    if run.capacity_only:
        row["capacityOnly"] = True
    return {**row, "requests": run.requests, "failed": run.failed, "source": run.place}


def _short(value: float) -> float:
    return float(f"{value:.5g}")
