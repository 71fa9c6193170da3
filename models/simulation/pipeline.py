"""Simulate a pipeline request by request: every stage serves what the stages before it let go, when they did.

The network has no loops, so that stages are served one after the other, each for the whole run, without loss of
exactness: arrivals at a stage are the ends of those before it. Stages that share GPUs slow each other down: they, and
what lies between them, are served together (`models.simulation.shared_gpu_loop`). Nothing is assumed of rates,
variability or independence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.batcher import Batcher, DispatchRule
from models.engine import Engine
from models.fork_join import Passage
from models.latency_law import LatencyLaw
from models.prediction import Routing
from models.simulation import shared_gpu_loop
from models.simulation.batching import gaps
from models.simulation.clumped_batching import chosen_replicas, serve_batches
from models.simulation.replicas import serve
from models.stage_network import StageNetwork, Truth
from models.workload import OpenArrivals, Workload

Array = NDArray[np.float64]

_WARM_UP = 0.1
_COOL_DOWN = 0.02
_SETTLED = 0.05


@dataclass(frozen=True, kw_only=True)
class BatcherServer:
    """Replicas of a dynamic batcher, and the calls that a request makes there at once."""

    batcher: Batcher
    replicas: int
    calls: int = 1
    in_turn: bool = False
    rule: DispatchRule = DispatchRule.WHEN_IDLE
    shared: int | None = None
    """Servers with the same number are on the same GPUs."""
    stretched: Batcher | None = None
    """As slow as it is beside the others in the mean, where these cannot be simulated with it."""


@dataclass(frozen=True, kw_only=True)
class EngineServer:
    """Replicas of an engine that makes tokens; of the workload the lengths count."""

    engine: Engine
    workload: Workload
    replicas: int
    calls: int = 1
    routing: Routing = Routing.RANDOM


@dataclass(frozen=True, kw_only=True)
class DelayServer:
    """A lognormal delay without a queue: median in seconds and deviation of its logarithm (0: fixed)."""

    median_s: float
    sigma: float = 0.0
    calls: int = 1


Server = BatcherServer | EngineServer | DelayServer


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelineSimulation:
    """What was observed, warm-up and cool-down left out."""

    passage: Passage
    e2e: LatencyLaw
    ttft: LatencyLaw | None
    """Arrival to the first token of whichever stage makes tokens last, of the requests that get some."""
    requests: int
    shares_gpus: bool
    """Whether stages on the same GPUs slowed each other down batch by batch; else all batches took longer alike."""
    settled: bool
    """Whether latency did not grow throughout the run."""
    samples_s: Array = field(repr=False)


def simulate_pipeline(
    network: StageNetwork,
    servers: Sequence[Server],
    arrivals: OpenArrivals,
    *,
    makers: Sequence[int] = (),
    requests: int = 100_000,
    seed: int = 1,
) -> PipelineSimulation:
    """Serve `requests` requests; `makers` are the stages whose first tokens count. Deterministic for a seed."""
    rng = np.random.default_rng(seed)
    came = np.cumsum(gaps(arrivals, requests, rng))
    visited = network.visited(rng.random((len(servers), requests)))
    ready = np.zeros((len(servers), requests))
    done = np.zeros_like(ready)
    first = np.zeros_like(ready)
    blocks = _blocks(servers)
    together = [place for block in blocks for place in block]
    for place, server in enumerate(servers):
        block = next((each for each in blocks if each[0] == place), None)
        if block is not None:
            ready[block], done[block] = _serve_together(network, servers, block, came, visited, done, rng)
        if place in together:
            continue
        ready[place] = np.maximum(network.ready(place, done), came)
        here = np.flatnonzero(visited[place])
        order = here[np.argsort(ready[place, here], kind="stable")]
        if order.size:
            tokens, done[place, order] = _serve(server, ready[place, order], rng)
            first[place, order] = tokens - came[order]
    counted = slice(int(requests * _WARM_UP), int(requests * (1.0 - _COOL_DOWN)))
    since = np.where(visited, ready - came, 0.0)[:, counted], np.where(visited, done - came, 0.0)[:, counted]
    passage = Passage(network=network, visited=visited[:, counted], ready=since[0], done=since[1])
    last = network.last_of(makers, visited[:, counted])
    asked = np.where(last, first[:, counted], 0.0).max(axis=0)[last.any(axis=0)]
    e2e = passage.end_to_end
    return PipelineSimulation(
        passage=passage,
        e2e=LatencyLaw.from_samples(e2e),
        ttft=None if not asked.size else LatencyLaw.from_samples(asked),
        requests=e2e.size,
        shares_gpus=any(_is_shared(servers[place]) for place in together),
        settled=_settled(e2e),
        samples_s=e2e,
    )


def _serve(server: Server, arrival: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """First tokens (ends, where there are none) and ends of requests that arrive at these times, ascending."""
    calls = np.repeat(arrival, server.calls)
    if isinstance(server, DelayServer):
        done = calls + server.median_s * np.exp(server.sigma * rng.standard_normal(calls.size))
        first = done
    elif isinstance(server, BatcherServer):
        chosen = chosen_replicas(calls.size, server.replicas, in_turn=server.in_turn, rng=rng)
        seed = int(rng.integers(2**31 - 10_000))
        batcher = server.stretched or server.batcher
        done, _ = serve_batches(batcher, calls, chosen, server.replicas, rule=server.rule, seed=seed)
        first = done
    else:
        served = serve(
            server.engine, server.workload, calls, replicas=server.replicas, routing=server.routing,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
        first, done = served.first_s, served.done_s
    return first.reshape(arrival.size, -1).max(axis=1), done.reshape(arrival.size, -1).max(axis=1)


def _is_shared(server: Server) -> bool:
    return isinstance(server, BatcherServer) and server.shared is not None


def _blocks(servers: Sequence[Server]) -> list[list[int]]:
    """Runs of stages to serve together: from the first to the last that shares GPUs with it.

    None where an engine that makes tokens, or a batcher that holds requests back, is among them.
    """
    spans: list[list[int]] = []
    for place, server in enumerate(servers):
        if not isinstance(server, BatcherServer) or server.shared is None:
            continue
        last = max(other for other, each in enumerate(servers) if _with(server, each))
        if spans and place <= spans[-1][-1]:
            spans[-1] = list(range(spans[-1][0], max(last, spans[-1][-1]) + 1))
        else:
            spans.append(list(range(place, last + 1)))
    return [span for span in spans if all(_is_plain(servers[place]) for place in span)]


def _with(server: BatcherServer, other: Server) -> bool:
    return isinstance(other, BatcherServer) and other.shared == server.shared


def _is_plain(server: Server) -> bool:
    if isinstance(server, BatcherServer):
        batcher = server.batcher
        return batcher.max_queue_delay_s == 0.0 and batcher.wanted == (batcher.max_batch_size,)
    return isinstance(server, DelayServer)


def _serve_together(
    network: StageNetwork,
    servers: Sequence[Server],
    block: list[int],
    came: Array,
    visited: Truth,
    done: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """When each stage of the block began and ended (block, requests)."""
    count, requests = len(block), came.size
    external = np.tile(came, (count, 1))
    after = np.zeros((count, count), dtype=bool)
    delay = np.zeros((count, requests))
    calls, replicas, instances = (np.ones(count, dtype=np.int64) for _ in range(3))
    first_gpu, full = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    in_turn, is_delay = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    largest = max(server.batcher.max_batch_size for server in servers if isinstance(server, BatcherServer))
    means, cvs = np.zeros((count, largest + 1)), np.zeros((count, largest + 1))
    gpus, placed = 0, dict[int, int]()
    for row, place in enumerate(block):
        server = servers[place]
        for each in network.waits(place):
            if each in block:
                after[row, block.index(each)] = True
            else:
                external[row] = np.maximum(external[row], done[each])
        if isinstance(server, DelayServer):
            is_delay[row] = True
            drawn = rng.standard_normal((requests, server.calls)).max(axis=1)
            delay[row] = server.median_s * np.exp(server.sigma * drawn)
            continue
        assert isinstance(server, BatcherServer)
        calls[row], replicas[row], instances[row] = server.calls, server.replicas, server.batcher.instances
        full[row], in_turn[row] = server.batcher.max_batch_size, server.in_turn
        means[row, : full[row] + 1], cvs[row, : full[row] + 1] = server.batcher.means_s, server.batcher.cvs
        key = -1 - place if server.shared is None else server.shared
        if key not in placed:
            placed[key] = gpus
            gpus += server.replicas
        first_gpu[row] = placed[key]
    ready, ends = shared_gpu_loop.run(
        external, visited[block], after, is_delay, delay, calls, replicas, first_gpu, gpus, int(instances.sum()),
        means, cvs, full, instances, in_turn, int(rng.integers(2**31)),
    )  # fmt: skip
    return ready, ends


def _settled(e2e: Array) -> bool:
    """Whether the second half is not slower than the first by more than chance and a little."""
    halves = np.array_split(e2e, 2)
    means = [float(half.mean()) for half in halves]
    batches = e2e[: e2e.size // 20 * 20].reshape(20, -1).mean(axis=1)
    noise = float(batches.std(ddof=1)) / math.sqrt(5.0)
    return means[1] - means[0] <= max(_SETTLED * means[0], 2.0 * noise) or means[1] < 1.2 * means[0]
