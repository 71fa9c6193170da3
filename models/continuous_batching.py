"""Continuous batching: from an engine, a workload and a number of replicas to the laws of every latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from models.blocked_admission import with_blocks
from models.capacity import Demand, capacity
from models.closed_loop import closed_laws
from models.discrepancy import Circumstances, corrected
from models.engine import Engine
from models.errors import InvalidInput
from models.latency_law import LatencyLaw
from models.objective import Metric
from models.prediction import Capacity, Prediction, Routing
from models.replica_laws import replica_laws
from models.replica_load import ReplicaLoad
from models.routing import stream_at_one
from models.slow_occupancy import mean_step_s
from models.workload import ClosedArrivals, OpenArrivals, Workload

_FEW = 0.05
"""Share of prompts that may be too long for an engine that does not split them: they are cut, as its gateway would."""


def predict(engine: Engine, workload: Workload, *, replicas: int, routing: Routing = Routing.RANDOM) -> Prediction:
    """Predict the laws of ttft, itl, tpot, e2e and queue for `replicas` replicas under the workload.

    Laws are over all requests of all replicas; rates are of all replicas together. An open workload at or beyond
    capacity is unstable. Raises InvalidInput where the mean request does not fit in KV memory.
    """
    if replicas < 1:
        raise InvalidInput(f"a prediction needs at least one replica, got {replicas}")
    _require_room(engine, workload)
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate)
    if isinstance(workload.arrivals, ClosedArrivals):
        return _closed(engine, workload, workload.arrivals, replicas, top)
    return _open(engine, workload, workload.arrivals, replicas, routing, top)


def _open(
    engine: Engine, workload: Workload, arrivals: OpenArrivals, replicas: int, routing: Routing, top: Capacity
) -> Prediction:
    rate = arrivals.rate_per_s / replicas
    utilization = rate / top.requests_per_s
    tokens = arrivals.rate_per_s * workload.lengths.output.mean
    if utilization >= 1.0:
        return Prediction(
            stable=False,
            utilization=utilization,
            requests_per_s=arrivals.rate_per_s,
            output_tokens_per_s=tokens,
            capacity=top,
            running=top.running,
            kv_occupancy=_kv_occupancy(engine, workload, top.running),
            preemptions_per_request=top.preemptions_per_request,
            laws={},
        )
    at = circumstances(engine, workload, replicas=replicas, routing=routing, top=top)
    laws, familiarity = corrected(at)
    running = rate * (laws["e2e"].mean_s - laws["queue"].mean_s)
    return Prediction(
        stable=True,
        utilization=utilization,
        requests_per_s=arrivals.rate_per_s,
        output_tokens_per_s=tokens,
        capacity=top,
        running=running,
        kv_occupancy=_kv_occupancy(engine, workload, running),
        preemptions_per_request=at.slow.crowded_probability * top.preemptions_per_request,
        laws=_with_overhead(engine, laws),
        analytic=_with_overhead(engine, at.laws),
        familiarity=familiarity,
    )


def circumstances(
    engine: Engine, workload: Workload, *, replicas: int, routing: Routing, top: Capacity
) -> Circumstances:
    """The analytic laws of an open workload below capacity `top`, with all that they were made of."""
    arrivals = workload.arrivals
    assert isinstance(arrivals, OpenArrivals)
    rate = arrivals.rate_per_s / replicas
    load = _load(engine, workload, rate, top)
    decoding = 0.0
    if routing is Routing.LEAST_OUTSTANDING and replicas > 1:  # no other stream depends on it
        decoding = rate * load.demand.decode_steps * float(mean_step_s(load, np.array([1.0]))[0])
    load = replace(load, stream=stream_at_one(routing, replicas, arrivals.burstiness, decoding))
    laws, slow = replica_laws(load)
    laws = with_blocks(load, slow, laws)
    return Circumstances(
        load=load,
        slow=slow,
        laws=laws,
        top=top,
        burstiness=arrivals.burstiness,
        replicas=replicas,
        routing=routing,
    )


def _closed(engine: Engine, workload: Workload, arrivals: ClosedArrivals, replicas: int, top: Capacity) -> Prediction:
    users = arrivals.users / replicas
    # Users beyond those that a saturated engine decodes for wait, whether seats or the token budget hold them back.
    load = replace(_load(engine, workload, top.requests_per_s, top), slots=min(top.seats, max(top.running, 1.0)))
    rate, laws, slow = closed_laws(load, users=users, think_time_s=arrivals.think_time_s + engine.overhead_s)
    # Fewer users than replicas leave some replicas without any.
    total = rate * (replicas if users >= 1.0 else arrivals.users)
    running = total / replicas * (laws["e2e"].mean_s - laws["queue"].mean_s)
    return Prediction(
        stable=True,
        utilization=min(1.0, rate / top.requests_per_s),
        requests_per_s=total,
        output_tokens_per_s=total * workload.lengths.output.mean,
        capacity=top,
        running=running,
        kv_occupancy=_kv_occupancy(engine, workload, running),
        preemptions_per_request=slow.crowded_probability * top.preemptions_per_request,
        laws=_with_overhead(engine, laws),
    )


def _with_overhead(engine: Engine, laws: Mapping[Metric, LatencyLaw]) -> Mapping[Metric, LatencyLaw]:
    """The laws as a client sees them: first tokens and ends are later by what is spent outside the steps."""
    return {metric: law.later(engine.overhead_s if metric in ("ttft", "e2e") else 0.0) for metric, law in laws.items()}


def _load(engine: Engine, workload: Workload, rate: float, top: Capacity) -> ReplicaLoad:
    return ReplicaLoad(
        engine=engine,
        lengths=workload.lengths,
        prefix_hit_rate=workload.prefix_hit_rate,
        rate_per_s=rate,
        slots=top.seats,
        saturation_per_s=top.requests_per_s,
        memory_bound=top.memory_bound,
        packing=top.packing,
        waste=top.waste,
    )


def _require_room(engine: Engine, workload: Workload) -> None:
    limits = engine.limits
    if not limits.chunked_prefill:
        _require_whole_prompts(limits.max_num_batched_tokens, workload)
    if limits.kv_cache_tokens is None:
        return
    need = workload.lengths.prompt.mean + 1.0
    if need > limits.kv_blocks * limits.kv_block_size:
        raise InvalidInput(
            f"a prompt of {workload.lengths.prompt.mean:.0f} tokens does not fit in the KV cache of "
            f"{limits.kv_cache_tokens} tokens",
            remedy="use a profile with more KV memory (more GPUs a replica, or a smaller model), or shorter prompts",
        )


def _require_whole_prompts(budget: int, workload: Workload) -> None:
    prompt = workload.lengths.computed_prompt(workload.prefix_hit_rate)
    beyond = float(prompt.weights[prompt.values > budget].sum())
    if beyond > _FEW:
        raise InvalidInput(
            f"{beyond:.0%} of the prompts are longer than the {budget:,} tokens of a step, and an engine with chunked "
            "prefill off refuses them",
            remedy="use a profile with chunked prefill on or a larger maxNumBatchedTokens, or shorter prompts",
        )


def _kv_occupancy(engine: Engine, workload: Workload, running: float) -> float:
    limits = engine.limits
    if limits.kv_cache_tokens is None:
        return 0.0
    demand = Demand.of(workload.lengths, workload.prefix_hit_rate, limits.kv_block_size)
    held = demand.kv_token_steps / (demand.decode_steps + 1.0)
    return min(1.0, running * held / (limits.kv_blocks * limits.kv_block_size))
