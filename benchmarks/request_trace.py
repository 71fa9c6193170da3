"""Random streams of requests for the second referee, from a generator of another kind than the first simulator's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.token_lengths import LengthLaw, LognormalLength
from models.workload import OpenArrivals, Workload

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Trace(NamedTuple):
    """Requests in order of arrival."""

    arrival_s: Floats
    prompt: Ints
    output: Ints
    cached: Ints
    """Prompt tokens found in the prefix cache: never computed, but held in KV memory."""
    chance: Floats
    """From 0 to 1; it decides the replica, alone or among equals."""


def draw(workload: Workload, requests: int, seed: int) -> Trace:
    """A random stream of requests, from a generator of its own kind."""
    arrivals, lengths = workload.arrivals, workload.lengths
    if not isinstance(arrivals, OpenArrivals):
        raise InvalidInput("the second referee plays open arrivals only")
    rng = np.random.Generator(np.random.Philox([seed, 0x5EC0]))
    scv = arrivals.burstiness
    gaps = rng.gamma(1.0 / scv, scv, requests) if scv > 0.0 else np.ones(requests)
    if lengths.table is not None:
        rows = rng.integers(lengths.table.prompt.size, size=requests)
        prompt, output = lengths.table.prompt[rows].astype(np.int64), lengths.table.output[rows].astype(np.int64)
    else:
        prompt, output = (_tokens(law, requests, rng) for law in (lengths.prompt_law, lengths.output_law))
    cached = np.minimum(np.rint(workload.prefix_hit_rate * prompt).astype(np.int64), prompt - 1)
    return Trace(np.cumsum(gaps) / arrivals.rate_per_s, prompt, output, cached, rng.random(requests))


def _tokens(law: LengthLaw | None, requests: int, rng: np.random.Generator) -> Ints:
    assert law is not None
    if not isinstance(law, LognormalLength):
        return np.full(requests, law.tokens, dtype=np.int64)
    return np.maximum(np.rint(np.exp(law.mu + law.sigma * rng.standard_normal(requests))), 1.0).astype(np.int64)
