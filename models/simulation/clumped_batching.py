"""Dynamic batchers under arrivals that come several at once: fan-out, and what a batch before them let go together.

No closed form is at hand for calls that arrive together, go to replicas at random, and of which the last one counts.
The stage alone is therefore solved by Monte Carlo under its own stated arrivals (`models.call_stream`), with fixed
seeds; the network around it is not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher, DispatchRule
from models.call_stream import CallStream, leaving
from models.latency_law import LatencyLaw
from models.simulation import batch_loop

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_CALLS = 160_000
_LEAST_REQUESTS = 16_000
_MOST_CALLS = 3_200_000
"""Of a fan-out above 200 fewer requests are served: the slowest of so many calls varies little."""
_WARM_UP = 0.1
_SEED = 7
_SHARES = np.concatenate([np.linspace(0.0005, 0.9495, 950), 1.0 - np.geomspace(0.05, 1e-4, 150)])


@dataclass(frozen=True, kw_only=True, eq=False)
class ClumpedBatching:
    """What a stage of batchers does."""

    e2e: LatencyLaw
    """Arrival of a request to the end of its last call."""
    mean_batch: float
    leaving: CallStream
    """Requests as they leave the stage."""


def clumped_batching(
    batcher: Batcher,
    stream: CallStream,
    *,
    calls: int,
    replicas: int,
    in_turn: bool = False,
    rule: DispatchRule = DispatchRule.WHEN_IDLE,
) -> ClumpedBatching:
    """Serve `calls` calls of every request at `replicas` replicas, each call at one taken at random (or in turn)."""
    rng = np.random.default_rng(_SEED)
    load = stream.rate_per_s * calls / (replicas * batcher.capacity_per_s)
    requests = max(min(_LEAST_REQUESTS, _MOST_CALLS // calls), _CALLS // calls) * longer(load)
    when = clump_times(stream, requests, rng)
    arrival = np.repeat(when, calls)
    chosen = chosen_replicas(arrival.size, replicas, in_turn=in_turn, rng=rng)
    done, batch = serve_batches(batcher, arrival, chosen, replicas, rule=rule, seed=_SEED)
    ends = done.reshape(when.size, calls).max(axis=1)
    counted = slice(int(_WARM_UP * when.size), None)
    latency = (ends - when)[counted]
    return ClumpedBatching(
        e2e=sampled_law(latency),
        mean_batch=float(1.0 / np.mean(1.0 / batch)),
        leaving=leaving_stream(stream, ends[counted]),
    )


def sampled_law(latency: Array) -> LatencyLaw:
    """The law of many samples, by fewer values."""
    return LatencyLaw(values_s=np.quantile(latency, _SHARES), cdf=_SHARES, mean_s=float(latency.mean()))


def longer(load: float) -> int:
    """How many times as long a run near saturation is, where queues last."""
    return 1 if load < 0.7 else 2 if load < 0.8 else 4


def clump_times(stream: CallStream, requests: int, rng: np.random.Generator) -> Array:
    """Arrival times of so many requests, ascending: one by one, or let through at the next gate."""
    if not stream.is_clumped:
        return np.cumsum(_gamma(stream.gap_scv, 1.0 / stream.rate_per_s, requests, rng))
    came = np.cumsum(_gamma(stream.long_scv, 1.0 / stream.rate_per_s, requests, rng))
    count = int(came[-1] / stream.gate_s * 1.05) + 100
    gates = np.cumsum(_gamma(stream.gate_scv, stream.gate_s, count, rng))
    gates = gates[: np.searchsorted(gates, came[-1]) + 1] if gates[-1] > came[-1] else np.append(gates, came[-1])
    return np.asarray(gates[np.searchsorted(gates, came)])


def _gamma(scv: float, mean: float, count: int, rng: np.random.Generator) -> Array:
    return np.full(count, mean) if scv < 1e-3 else rng.gamma(1.0 / scv, mean * scv, count)


def chosen_replicas(calls: int, replicas: int, *, in_turn: bool, rng: np.random.Generator) -> Counts:
    """The replica of each call."""
    return np.arange(calls) % replicas if in_turn else rng.integers(0, replicas, calls)


def serve_batches(
    batcher: Batcher, arrival: Array, chosen: Counts, replicas: int, *, rule: DispatchRule, seed: int
) -> tuple[Array, Array]:
    """End of each call's batch, and that batch's size, for calls that arrive at given times, ascending (calls,)."""
    held_back = rule is DispatchRule.WHILE_RUNNING and batcher.max_queue_delay_s > 0.0
    done, batch = np.empty(arrival.size), np.empty(arrival.size)
    order = np.argsort(chosen, kind="stable")
    for number, own in enumerate(np.split(order, np.cumsum(np.bincount(chosen, minlength=replicas))[:-1])):
        if own.size:
            _, done[own], batch[own], _ = batch_loop.run(
                arrival[own], batcher.means_s, batcher.cvs, np.array(batcher.wanted), batcher.max_batch_size,
                batcher.max_queue_delay_s, batcher.instances, held_back, seed + number,
            )  # fmt: skip
    return done, batch


def leaving_stream(stream: CallStream, ends: Array) -> CallStream:
    """The two moments of what leaves: requests that end at the same moment, and the gaps between these moments."""
    moments = np.unique(ends)
    gaps = np.diff(moments)
    clump = ends.size / moments.size
    return leaving(stream, clump=clump, gap_scv=float(gaps.var() / gaps.mean() ** 2))
