"""A pooled load of an engine in service as a run of a benchmark, with its laws read from the histograms' buckets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.cached_prompts import partly_cached
from models.errors import InvalidInput
from models.histogram_law import law
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.steady_load import Load

_PERCENTILES = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}


@dataclass(frozen=True, kw_only=True)
class StatedLengths:
    """Mean lengths that the user states, for engines that do not count tokens."""

    input_tokens: float | None = None
    output_tokens: float | None = None


def run_of(load: Load, *, setup: SetUp, source: str, stated: StatedLengths) -> BenchmarkRun:
    """A pooled load as a benchmark's run. Raises InvalidInput where the engine does not say how long requests are."""
    saturated = load.standing == "saturated"
    laws = (
        {} if saturated else {meaning: _summary(load, meaning) for meaning in ("ttft", "itl", "tpot", "e2e", "queue")}
    )
    measurement = Measurement(
        input_tokens=_length(load, "prompt_length", "prompt_tokens", stated.input_tokens, "--input-tokens"),
        output_tokens=_length(load, "output_length", "output_tokens", stated.output_tokens, "--output-tokens"),
        arrival_rate_per_s=load.arrivals_per_s,
        requests_per_s=load.completed / load.duration_s,
        output_tokens_per_s=_rate(load, "output_tokens"),
        ttft=laws.get("ttft"),
        itl=laws.get("itl"),
        tpot=laws.get("tpot"),
        e2e=laws.get("e2e"),
        queue=laws.get("queue"),
    )
    return BenchmarkRun(
        measurement=partly_cached(measurement, load.prefix_hit_rate or 0.0),
        tool="prometheus",
        place=source,
        setup=setup,
        capacity_only=saturated,
        duration_s=load.duration_s,
        requests=round(load.completed),
        failed=round(math.fsum(window.failed for window in load.windows)),
        notes=tuple(_notes(load)),
    )


def _length(load: Load, histogram: str, counter: str, stated: float | None, option: str) -> float:
    seen = load.histogram(histogram)
    if seen is not None and seen.mean_s:
        return max(1.0, seen.mean_s)
    tokens = load.total(counter)
    if tokens:
        return max(1.0, tokens / load.completed)
    if stated is not None:
        return stated
    raise InvalidInput(
        f"the metrics do not count tokens ({counter.replace('_', ' ')} and their histogram are absent)",
        remedy=f"state the mean length with {option}",
    )


def _rate(load: Load, meaning: str) -> float | None:
    total = load.total(meaning)
    return total / load.duration_s if total else None


def _summary(load: Load, meaning: str) -> LatencySummary | None:
    seen = load.histogram(meaning)
    if seen is not None and seen.mean_s:
        fitted = law(seen)
        percentiles = {name: fitted.quantile(q) for name, q in _PERCENTILES.items() if seen.resolved(q)}
        return LatencySummary(mean_s=seen.mean_s, **percentiles)
    summed = load.total(f"{meaning}_sum")
    return LatencySummary(mean_s=summed / load.completed) if summed else None


def _notes(load: Load) -> Iterator[str]:
    if load.total("e2e_sum") is not None:
        yield (
            "Triton does not tell the time to the first token: the time of a token is that of a request over its "
            "tokens, and prompt and decode are told apart by the prior alone"
        )
