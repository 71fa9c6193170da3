"""Simulate a set of replicas under a workload and observe the laws of every latency."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.capacity import capacity
from models.engine import Engine
from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.objective import Metric
from models.prediction import Prediction, Routing
from models.simulation import step_loop
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from models.token_lengths import LengthLaw, LognormalLength, TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MAX_SIMULATED_REPLICAS = 64
"""More replicas behave as these many at the same load each; only so many are simulated."""

_WARM_UP = 0.1
_COOL_DOWN = 0.02
_BATCHES = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """What was observed, warm-up and cool-down left out."""

    prediction: Prediction
    requests: int
    """Requests counted."""
    samples: dict[Metric, Array] = field(repr=False)
    """Per-request latencies in order of arrival, seconds (`itl` has none: it is counted in a histogram)."""

    def standard_error(self, metric: Metric, quantile: float | None) -> float:
        """Standard error of a statistic by batch means (Law, Simulation Modeling and Analysis, §9.5.3); NaN for itl."""
        samples = self.samples.get(metric)
        if samples is None or samples.size < 10 * _BATCHES:
            return math.nan
        batches = samples[: samples.size // _BATCHES * _BATCHES].reshape(_BATCHES, -1)
        values = batches.mean(axis=1) if quantile is None else np.quantile(batches, quantile, axis=1)
        return float(values.std(ddof=1) / math.sqrt(_BATCHES))


def simulate(
    engine: Engine,
    workload: Workload,
    *,
    replicas: int,
    routing: Routing = Routing.RANDOM,
    requests: int = 200_000,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Simulation:
    """Serve `requests` requests (all replicas together) and observe.

    Deterministic for a seed. Requests longer than KV memory, and prompts longer than
    the token budget of an engine that does not split them, are cut. Raises InvalidInput where memory holds none.
    """
    if not 1 <= replicas <= 10_000_000 or not 100 <= requests <= 1_000_000_000:
        raise InvalidInput("a simulation needs at least one replica and 100 to 1e9 requests")
    simulated = min(replicas, MAX_SIMULATED_REPLICAS)
    scaled = _share(workload, simulated / replicas)
    rng = np.random.default_rng(seed)
    parts = [
        _run(engine, part, rng, tell)
        for part, tell in _split(engine, scaled, simulated, routing, requests, rng, progress)
    ]
    return _observe(engine, scaled, simulated, replicas, parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedTimes:
    """When each of given arrivals got its first token and its last, seconds, in the order given (n,)."""

    first_s: Array = field(repr=False)
    done_s: Array = field(repr=False)


def serve(
    engine: Engine, workload: Workload, arrival_s: Array, *, replicas: int, routing: Routing, seed: int
) -> ServedTimes:
    """Serve requests that arrive at given times (ascending), with lengths drawn from the workload."""
    rng = np.random.default_rng(seed)
    first, done = np.empty(arrival_s.size), np.empty(arrival_s.size)
    for stream, _ in _split(engine, workload, replicas, routing, arrival_s.size, rng, None, given=arrival_s):
        _, (_, _, first_here, done_here, *_), _ = _run(engine, stream, rng, lambda: None)
        first[stream.index], done[stream.index] = first_here + engine.overhead_s, done_here + engine.overhead_s
    return ServedTimes(first_s=first, done_s=done)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stream:
    """The requests that one call of the loop serves."""

    index: Counts
    arrival: Array
    prompt: Counts
    cached: Counts
    output: Counts
    think: Array
    users: int
    replicas: int
    routing: int
    assigned: Counts


def _share(workload: Workload, share: float) -> Workload:
    if isinstance(workload.arrivals, OpenArrivals):
        return workload.at_rate(workload.arrivals.rate_per_s * share)
    return workload.with_users(max(1, round(workload.arrivals.users * share)))


def _split(
    engine: Engine,
    workload: Workload,
    replicas: int,
    routing: Routing,
    requests: int,
    rng: np.random.Generator,
    progress: Callable[[float], None] | None,
    given: Array | None = None,
) -> list[tuple[_Stream, Callable[[], None]]]:
    prompt, output = _lengths(workload.lengths, requests, rng)
    prompt, output = _fit_in_memory(engine, prompt, output)
    cached = np.minimum(np.rint(prompt * workload.prefix_hit_rate).astype(np.int64), prompt - 1)
    if not engine.limits.chunked_prefill:
        prompt = np.minimum(prompt, cached + engine.limits.max_num_batched_tokens)
    arrivals = workload.arrivals
    users = 0
    think = np.zeros(0)
    if isinstance(arrivals, ClosedArrivals):
        users = arrivals.users
        mean = arrivals.think_time_s
        think = engine.overhead_s + (rng.exponential(mean, requests) if mean > 0.0 else np.zeros(requests))
        arrival = np.zeros(requests)
    else:
        arrival = np.cumsum(_gaps(arrivals, requests, rng)) if given is None else given
    assigned = (
        np.arange(requests, dtype=np.int64) % replicas
        if routing is Routing.ROUND_ROBIN
        else rng.integers(0, replicas, requests)
    )
    together = users > 0 or routing is Routing.LEAST_OUTSTANDING or replicas == 1
    groups = [np.arange(requests)] if together else [np.flatnonzero(assigned == r) for r in range(replicas)]
    groups = [group for group in groups if group.size > 0]
    streams = []
    for done, index in enumerate(groups, start=1):
        stream = _Stream(
            index=index,
            arrival=arrival[index],
            prompt=prompt[index],
            cached=cached[index],
            output=output[index],
            think=think[index] if users else np.zeros(0),
            users=users,
            replicas=replicas if together else 1,
            routing=step_loop.ROUTE_LEAST_OUTSTANDING
            if routing is Routing.LEAST_OUTSTANDING
            else step_loop.ROUTE_GIVEN,
            assigned=assigned[index] if together else np.zeros(index.size, np.int64),
        )
        streams.append((stream, _teller(progress, done / len(groups))))
    return streams


def _teller(progress: Callable[[float], None] | None, share: float) -> Callable[[], None]:
    def tell() -> None:
        if progress is not None:
            progress(share)

    return tell


def _gaps(arrivals: OpenArrivals, count: int, rng: np.random.Generator) -> Array:
    mean = 1.0 / arrivals.rate_per_s
    if arrivals.burstiness == 0.0:
        return np.full(count, mean)
    return rng.gamma(1.0 / arrivals.burstiness, mean * arrivals.burstiness, count)


def _lengths(lengths: TokenLengths, count: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    if lengths.table is not None:
        row = rng.integers(0, lengths.table.prompt.size, count)
        return lengths.table.prompt[row].astype(np.int64), lengths.table.output[row].astype(np.int64)
    assert lengths.prompt_law is not None
    assert lengths.output_law is not None
    return _draw(lengths.prompt_law, count, rng), _draw(lengths.output_law, count, rng)


def _draw(law: LengthLaw, count: int, rng: np.random.Generator) -> Counts:
    if isinstance(law, LognormalLength):
        return np.maximum(1, np.rint(rng.lognormal(law.mu, law.sigma, count))).astype(np.int64)
    return np.full(count, law.tokens, dtype=np.int64)


def _fit_in_memory(engine: Engine, prompt: Counts, output: Counts) -> tuple[Counts, Counts]:
    """Requests longer than KV memory are cut to it, prompt first, as a gateway with a length limit would."""
    limits = engine.limits
    if limits.kv_cache_tokens is None:
        return prompt, output
    room = int(limits.kv_blocks) * limits.kv_block_size
    if room < 2:
        raise InvalidInput("KV memory holds no request at all")
    output = np.minimum(output, room - 1)
    return np.minimum(prompt, room - output), output


def _coefficients(step_time: StepTime) -> tuple[int, Array, Array]:
    if isinstance(step_time, LinearStepTime):
        return 0, _linear(step_time), np.zeros(0)
    if isinstance(step_time, SqrtStepTime):
        return 1, np.append(_linear(step_time.linear), step_time.per_sqrt_decode_s), np.zeros(0)
    if isinstance(step_time, ExpertsStepTime):
        more = [step_time.per_expert_s, step_time.experts, step_time.experts_per_token]
        return 2, np.append(_linear(step_time.linear), more), np.zeros(0)
    if isinstance(step_time, RooflineStepTime):
        terms = [step_time.overhead_s, step_time.weights_s, step_time.per_kv_token_s, step_time.per_token_compute_s]
        return 3, np.array(terms), np.array(step_time.graph_sizes, dtype=float)
    raise InvalidInput(f"the simulator does not know the step time form {type(step_time).__name__}")


def _linear(step_time: LinearStepTime) -> Array:
    return np.array([step_time.base_s, step_time.per_prefill_token_s, step_time.per_decode_s, step_time.per_kv_token_s])


def _run(
    engine: Engine, stream: _Stream, rng: np.random.Generator, tell: Callable[[], None]
) -> tuple[_Stream, tuple[Any, ...], slice]:
    limits = engine.limits
    form, coefficients, sizes = _coefficients(engine.step_time)
    n = stream.prompt.size
    window = slice(int(n * _WARM_UP), max(int(n * _WARM_UP) + 1, int(n * (1.0 - _COOL_DOWN))))
    ample = int((stream.prompt.max() + stream.output.max()) // limits.kv_block_size + 2) * limits.max_num_seqs
    blocks = ample if limits.kv_cache_tokens is None else int(limits.kv_blocks)
    result = step_loop.run(
        stream.arrival, stream.prompt, stream.cached, stream.output, stream.assigned, stream.routing,
        stream.replicas, stream.think, stream.users, form, coefficients, sizes, limits.max_num_seqs,
        limits.max_num_batched_tokens, blocks, limits.kv_block_size, limits.chunked_prefill,
        int(rng.integers(2**31)), window.start, window.stop,
    )  # fmt: skip
    tell()
    return stream, result, window


def _observe(
    engine: Engine,
    workload: Workload,
    simulated: int,
    replicas: int,
    parts: list[tuple[_Stream, tuple[Any, ...], slice]],
) -> Simulation:
    columns: dict[Metric, list[Array]] = {metric: [] for metric in ("queue", "ttft", "tpot", "e2e")}
    histogram = np.zeros(step_loop.ITL_BINS)
    gap_sum = gap_count = 0.0
    totals = np.zeros(7)
    rate = tokens = 0.0
    stable = True
    for stream, (when, admitted, first, done, bins, seconds, count, sums), window in parts:
        served_per_s = _completions_per_s(done, stream.users) if stream.users else 0.0
        stable = stable and (stream.users > 0 or not _diverges(when, admitted))
        when, admitted, first, done = when[window], admitted[window], first[window], done[window]
        output = stream.output[window]
        columns["queue"].append(admitted - when)
        columns["ttft"].append(first - when + engine.overhead_s)
        columns["e2e"].append(done - when + engine.overhead_s)
        several = output > 1
        columns["tpot"].append((done - first)[several] / (output[several] - 1))
        histogram += bins
        gap_sum += seconds
        gap_count += count
        totals += sums
        if not stream.users:
            served_per_s = output.size / max(float(when.max() - when.min()), 1e-12)
        rate += served_per_s
        tokens += served_per_s * float(output.mean())
    samples = {metric: np.concatenate(column) for metric, column in columns.items()}
    laws = {metric: LatencyLaw.from_samples(column) for metric, column in samples.items() if column.size}
    if gap_count:
        middle = step_loop.ITL_FLOOR_S * np.exp((np.arange(step_loop.ITL_BINS) + 0.5) / step_loop.ITL_BINS_PER_E)
        law = LatencyLaw.from_atoms(middle, histogram)
        laws["itl"] = LatencyLaw(values_s=law.values_s, cdf=law.cdf, mean_s=gap_sum / gap_count)
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate)
    scale = replicas / simulated
    offered = (workload.arrivals.rate_per_s if isinstance(workload.arrivals, OpenArrivals) else rate) / (
        simulated * top.requests_per_s
    )
    counted = int(samples["e2e"].size)
    served = sum(stream.prompt.size for stream, *_ in parts)
    prediction = Prediction(
        stable=stable,
        utilization=min(offered, 1.0) if stable else offered,
        requests_per_s=rate * scale,
        output_tokens_per_s=tokens * scale,
        capacity=top,
        running=float(totals[3] / max(totals[6] * simulated / len(parts), 1e-12)),
        kv_occupancy=_occupancy(engine, totals, simulated, len(parts)),
        preemptions_per_request=float(totals[0] / served),
        laws=laws if stable else {},
    )
    return Simulation(prediction=prediction, requests=counted, samples=samples)


def _diverges(when: Array, admitted: Array) -> bool:
    """Whether the queue grew from the second quarter to the third and from that to the fourth by a steady share.

    A stable queue wanders; that it grows twice in a row by 2 % of what came, and by three deviations of a Poisson
    count, means that more comes than goes. Requests that run do not count: a long first filling is no queue.
    """
    quarters = np.array_split(np.arange(when.size), 4)
    leaves = np.sort(admitted)
    waiting = [
        float(np.mean(quarter + 1 - np.searchsorted(leaves, when[quarter], side="right"))) for quarter in quarters
    ]
    least = max(0.02 * quarters[-1].size, 3.0 * math.sqrt(quarters[-1].size))
    return waiting[2] - waiting[1] > least and waiting[3] - waiting[2] > least


def _completions_per_s(done: Array, users: int) -> float:
    """Throughput of a closed loop: completions over the time they span; in the last round users leave."""
    first = int(done.size * _WARM_UP)
    last = max(done.size - 1 - max(users, int(done.size * _COOL_DOWN)), first + 1)
    ends = np.sort(done)[[first, min(last, done.size - 1)]]
    return (last - first) / max(float(ends[1] - ends[0]), 1e-12)


def _occupancy(engine: Engine, totals: Array, simulated: int, parts: int) -> float:
    if engine.limits.kv_cache_tokens is None:
        return 0.0
    return float(totals[4] / max(totals[6] * simulated / parts, 1e-12) / engine.limits.kv_blocks)
