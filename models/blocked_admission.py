"""Below capacity too a prompt that is not split may be too long for a step: it and all behind it wait.

What `models.prompt_blocking` bounds at saturation happens at any load: a prompt of p tokens that meets more than
budget − p decodes waits until so many are left, and nothing is admitted meanwhile. Arrivals meet such a time in
proportion to its length (renewal reward; Ross 1996, §3.6), wait for the rest of it, and for those that queued before.
To first order: the level that a block meets is that of the law without blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.latency_law import LatencyLaw
from models.objective import Metric
from models.prompt_blocking import drain_steps
from models.replica_load import ReplicaLoad
from models.slow_occupancy import Occupancy, mean_step_s

Array = NDArray[np.float64]

_LEVELS = 32
_MOMENTS = 16
_ATOMS = 64
_LOWEST = 0.5
_RARE = 1e-6


def with_blocks(load: ReplicaLoad, slow: Occupancy, laws: dict[Metric, LatencyLaw]) -> dict[Metric, LatencyLaw]:
    """The laws of queue, ttft and e2e with the waits for long prompts; the same laws where none can block."""
    limits = load.engine.limits
    longest = float(load.prompt.values[-1])
    if limits.chunked_prefill or longest <= limits.max_num_batched_tokens - float(slow.decoding[-1]):
        return laws
    waits, chance = _waits(load, slow)
    if chance.sum() <= _RARE:
        return laws
    return {
        metric: _later(law, waits, chance) if metric in ("queue", "ttft", "e2e") else law
        for metric, law in laws.items()
    }


def _waits(load: ReplicaLoad, slow: Occupancy) -> tuple[Array, Array]:
    """Seconds of waits (w,) and the share of requests that wait so long; the rest does not wait for this."""
    budget = float(load.engine.limits.max_num_batched_tokens)
    level = np.maximum(slow.quantiles((np.arange(_LEVELS) + 0.5) / _LEVELS), 1e-9)
    long = load.prompt.values > budget - level[-1]
    prompt, often = load.prompt.values[long], load.prompt.weights[long]
    left = np.maximum(budget - prompt, _LOWEST)
    kept = np.minimum(left[:, None] / level[None, :], 1.0)
    output = load.lengths.output
    _, steps = drain_steps(np.maximum(output.values - 1.0, 0.0), output.weights, kept)
    between = np.sqrt(np.minimum(left[:, None], level[None, :]) * level[None, :])
    table = np.geomspace(_LOWEST, max(float(level[-1]), 1.0), 64)
    lasts = np.where(kept < 1.0, steps * np.interp(between, table, mean_step_s(load, table)), 0.0)
    chance = often[:, None] * np.full(_LEVELS, 1.0 / _LEVELS)[None, :] * (lasts > 0.0)
    blocks = load.rate_per_s * float((chance * lasts).sum())
    met = blocks / (1.0 + blocks)
    if met <= 0.0:
        return np.zeros(1), np.zeros(1)
    room = float(load.room(np.array(slow.mean)))
    busy = min(load.rate_per_s * load.demand.prompt_tokens * float(load.step_s(room, slow.mean)) / room, 0.99)
    moment = (np.arange(_MOMENTS) + 0.5) / _MOMENTS
    rest = lasts[:, :, None] * (1.0 - moment * (1.0 - busy))
    weights = (chance * lasts)[:, :, None] * np.ones(_MOMENTS) / _MOMENTS
    weights *= met / weights.sum()
    values = np.concatenate([rest.ravel(), lasts.ravel()])
    shares = np.concatenate([weights.ravel(), (1.0 - met) * chance.ravel()])
    return _grouped(values, shares)


def _grouped(values: Array, weights: Array) -> tuple[Array, Array]:
    """Some dozens of atoms, finer towards the far end, with the mean kept."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    total = float(weights.sum())
    beyond = 1.0 - (np.cumsum(weights) - 0.5 * weights) / total
    group = np.minimum((_ATOMS * (1.0 - beyond**0.5)).astype(int), _ATOMS - 1)
    mass = np.bincount(group, weights, _ATOMS).astype(float)
    seconds = np.bincount(group, weights * values, _ATOMS)
    kept = mass > 0.0
    return seconds[kept] / mass[kept], mass[kept]


def _later(law: LatencyLaw, waits: Array, chance: Array) -> LatencyLaw:
    """The law of the latency plus the wait, independent of each other."""
    mass = np.diff(law.cdf, prepend=0.0)
    values = np.concatenate([law.values_s, (law.values_s[:, None] + waits[None, :]).ravel()])
    weights = np.concatenate([mass * (1.0 - chance.sum()), (mass[:, None] * chance[None, :]).ravel()])
    order = np.argsort(values)
    cdf = np.cumsum(weights[order])
    points = 2 * law.values_s.size
    at = np.searchsorted(cdf, (np.arange(points) + 0.5) / points * cdf[-1])
    thinned = values[order][np.minimum(at, values.size - 1)]
    return LatencyLaw.from_atoms(thinned, np.ones(points))
