"""Continuous batching: from an engine, a workload and a number of replicas to the laws of every latency."""

from __future__ import annotations

import numpy as np

from models.capacity import Demand, capacity
from models.engine import Engine
from models.latency_law import LatencyLaw
from models.prediction import Prediction, Routing
from models.workload import ClosedArrivals, Workload


def predict(
    engine: Engine, workload: Workload, *, replicas: int, routing: Routing = Routing.RANDOM
) -> Prediction:
    """First cut: fluid step time and exponential waiting. To be replaced."""
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate)
    demand = Demand.of(workload.lengths, workload.prefix_hit_rate, engine.limits.kv_block_size)
    if isinstance(workload.arrivals, ClosedArrivals):
        rate = 0.95 * top.requests_per_s * min(1.0, workload.arrivals.users / replicas / engine.limits.max_num_seqs)
    else:
        rate = workload.arrivals.rate_per_s / replicas
    u = rate / top.requests_per_s
    if u >= 1.0:
        return Prediction(stable=False, utilization=u, requests_per_s=rate * replicas,
                          output_tokens_per_s=rate * replicas * workload.lengths.output.mean, capacity=top,
                          running=0.0, kv_occupancy=0.0, preemptions_per_request=0.0, laws={})
    step = float(engine.step_time.seconds(0.0, 1.0, 0.0))
    for _ in range(50):
        d = rate * demand.decode_steps * step
        step = float(engine.step_time.seconds(rate * step * demand.prompt_tokens, d, d * demand.context))
    q = (np.arange(400) + 0.5) / 400
    wait = -np.log1p(-q) * step * u / (1 - u)
    own = float(engine.step_time.seconds(demand.prompt_tokens, 1.0, 0.0))
    one = np.ones(400)
    laws = {
        "queue": LatencyLaw.from_atoms(wait, one),
        "ttft": LatencyLaw.from_atoms(wait + own, one),
        "itl": LatencyLaw.from_atoms(step * (1 + 0.2 * q), one),
        "tpot": LatencyLaw.from_atoms(step * (1 + 0.2 * q), one),
        "e2e": LatencyLaw.from_atoms(wait + own + step * demand.decode_steps, one),
    }
    return Prediction(stable=True, utilization=u, requests_per_s=rate * replicas,
                      output_tokens_per_s=rate * replicas * workload.lengths.output.mean, capacity=top,
                      running=rate * demand.decode_steps * step, kv_occupancy=0.0, preemptions_per_request=0.0,
                      laws=laws)  # type: ignore[arg-type]
