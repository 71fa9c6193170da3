"""A pooled load of an engine in service as a run of a benchmark, with its laws read from the histograms' buckets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.cached_prompts import partly_cached
from models.errors import InvalidInput
from models.histogram_law import BucketCounts, law
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun, SetUp
from planner.steady_load import Load

WIDE_BUCKET = 3.0
"""Of a bucket whose end is so many times its beginning a percentile would be a guess."""
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
    input_tokens = _length(load, "prompt_length", "prompt_tokens", stated.input_tokens, "--input-tokens")
    output_tokens = _length(load, "output_length", "output_tokens", stated.output_tokens, "--output-tokens")
    if laws and laws["ttft"] is None and laws["tpot"] is None:
        laws["tpot"] = _generating(load, output_tokens)
    measurement = Measurement(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
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
        remedy=f"state the mean length with {option}; TensorRT-LLM counts them under the engine's own model, such as "
        "--match model=tensorrt_llm",
    )


def _rate(load: Load, meaning: str) -> float | None:
    total = load.total(meaning)
    return total / load.duration_s if total else None


def _summary(load: Load, meaning: str) -> LatencySummary | None:
    seen = load.histogram(meaning)
    if seen is not None and seen.mean_s:
        fitted = law(seen)
        percentiles = {name: fitted.quantile(q) for name, q in _PERCENTILES.items() if _told(seen, q)}
        return LatencySummary(mean_s=seen.mean_s, **percentiles)
    summed = load.total(f"{meaning}_sum")
    return LatencySummary(mean_s=summed / load.completed) if summed else None


def _told(seen: BucketCounts, q: float) -> bool:
    low, high = seen.bounds(q)
    return seen.resolved(q) and high <= WIDE_BUCKET * low


def _generating(load: Load, output_tokens: float) -> LatencySummary | None:
    """TPOT by Little's law: of a request's time, the share in which it generates is the share of those that do."""
    summed, generating, prefilling = load.total("e2e_sum"), load.mean("generating"), load.mean("prefilling")
    if not summed or not generating or prefilling is None or output_tokens <= 1.0:
        return None
    share = generating / (generating + prefilling)
    return LatencySummary(mean_s=share * summed / load.completed / (output_tokens - 1.0))


def _notes(load: Load) -> Iterator[str]:
    if load.total("e2e_sum") is None or load.histogram("ttft") is not None:
        return
    token = (
        "that of a request over its tokens"
        if load.mean("generating") is None
        else "by the share of requests that generate rather than compute their prompt"
    )
    yield (
        f"Triton does not tell the time to the first token: the time of a token is {token}, and what a prompt costs is "
        "the prior's alone. Start tritonserver with --metrics-config histogram_latencies=true and stream (decoupled "
        "mode), or measure with a benchmark"
    )
