"""Engines that make tokens under a fan-out: calls that come together share steps, and the last one counts.

A prompt waits for those that came with it, and decodes beside them: neither are calls independent, nor do they come at
random. The stage alone is solved by Monte Carlo, as batchers are (`models.simulation.clumped_batching`), with the step
simulator under its stated arrivals; the network around it is not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.call_stream import CallStream
from models.engine import Engine
from models.latency_law import LatencyLaw
from models.prediction import Routing
from models.simulation.clumped_batching import clump_times, longer, sampled_law
from models.simulation.replicas import serve
from models.workload import Workload

_MOST_REQUESTS, _LEAST_REQUESTS = 16_000, 1_000
_TOKENS = 15e6
"""Output tokens of a run: about half a second."""
_WARM_UP = 0.1
_SEED = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class ClumpedSteps:
    """What a stage of engines does."""

    ttft: LatencyLaw
    """Arrival of a request to the first token of its last call."""
    e2e: LatencyLaw
    """To the end of its last call."""


def clumped_steps(
    engine: Engine,
    workload: Workload,
    stream: CallStream,
    *,
    calls: int,
    replicas: int,
    routing: Routing,
    load: float,
) -> ClumpedSteps:
    """Serve `calls` calls of every request of a stream; of the workload the lengths count. Deterministic."""
    rng = np.random.default_rng(_SEED)
    affordable = int(_TOKENS / (calls * workload.lengths.output.mean))
    requests = min(max(affordable, _LEAST_REQUESTS), _MOST_REQUESTS) * longer(load)
    when = clump_times(stream, requests, rng)
    served = serve(engine, workload, np.repeat(when, calls), replicas=replicas, routing=routing, seed=_SEED)
    counted = slice(int(_WARM_UP * requests), None)
    first, done = (
        (times.reshape(requests, calls).max(axis=1) - when)[counted] for times in (served.first_s, served.done_s)
    )
    return ClumpedSteps(ttft=sampled_law(first), e2e=sampled_law(done))
