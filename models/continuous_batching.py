"""Continuous batching: from an engine, a workload and a number of replicas to the laws of every latency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.capacity import Demand, capacity, usable_kv_tokens
from models.engine import Engine
from models.latency_law import LatencyLaw
from models.lattice import lattice
from models.lindley import waiting_law
from models.objective import Metric
from models.prediction import Capacity, Prediction, Routing
from models.prompt_backlog import PromptBacklog, solve_backlog
from models.routing import interarrival_scv
from models.slow_occupancy import Occupancy, mean_step_s, occupancy
from models.token_lengths import Atoms
from models.workload import ClosedArrivals, OpenArrivals, Workload

Array = NDArray[np.float64]

_POINTS = 4096
MIX = 1.0
_NODES = (0.03, 0.25, 0.5, 0.75, 0.97)


def predict(engine: Engine, workload: Workload, *, replicas: int, routing: Routing = Routing.RANDOM) -> Prediction:
    """Predict the laws of ttft, itl, tpot, e2e and queue for `replicas` replicas under the workload."""
    top = capacity(engine, workload.lengths, workload.prefix_hit_rate)
    if isinstance(workload.arrivals, ClosedArrivals):
        raise NotImplementedError
    rate = workload.arrivals.rate_per_s / replicas
    load = rate / top.requests_per_s
    tokens = workload.arrivals.rate_per_s * workload.lengths.output.mean
    if load >= 1.0:
        return Prediction(
            stable=False, utilization=load, requests_per_s=workload.arrivals.rate_per_s, output_tokens_per_s=tokens,
            capacity=top, running=0.0, kv_occupancy=0.0, preemptions_per_request=0.0, laws={},
        )
    scv = interarrival_scv(routing, replicas, workload.arrivals.burstiness)
    if routing is Routing.LEAST_OUTSTANDING and replicas > 1:
        d0 = Demand.of(workload.lengths, workload.prefix_hit_rate, engine.limits.kv_block_size)
        guess = rate * d0.decode_steps * float(mean_step_s(engine, d0, rate, np.array([1.0]))[0])
        share = 1.0 / (1.0 + guess)
        scv = share * workload.arrivals.burstiness / replicas + (1.0 - share)
    spread = workload.arrivals.burstiness / replicas if routing is Routing.LEAST_OUTSTANDING else scv
    laws, running = _replica_laws(engine, workload, rate, scv, spread, top)
    return Prediction(
        stable=True, utilization=load, requests_per_s=workload.arrivals.rate_per_s, output_tokens_per_s=tokens,
        capacity=top, running=running, kv_occupancy=0.0, preemptions_per_request=0.0, laws=laws,
    )


def _quantile(atoms: Atoms, u: Array) -> Array:
    index = np.searchsorted(np.cumsum(atoms.weights), u)
    return np.asarray(atoms.values[np.minimum(index, atoms.values.size - 1)])


def _replica_laws(engine: Engine, workload: Workload, rate: float, scv: float, spread_scv: float, top: Capacity) -> tuple[dict[Metric, LatencyLaw], float]:
    limits, lengths = engine.limits, workload.lengths
    demand = Demand.of(lengths, workload.prefix_hit_rate, limits.kv_block_size)
    budget = float(limits.max_num_batched_tokens)
    hit = 1.0 - workload.prefix_hit_rate
    prompt = lengths.prompt if hit == 1.0 else lengths.prompt.map(np.maximum(1.0, np.rint(lengths.prompt.values * hit)))
    slots = min(limits.max_num_seqs * (demand.decode_steps + 1e-9) / (demand.decode_steps + max(1.0, demand.prompt_tokens / budget)), usable_kv_tokens(engine, lengths) * (demand.decode_steps + 1.0) / demand.kv_token_steps)
    # Burstiness widens the law of the occupancy: peakedness of an infinite-server system (Whitt 1983).
    output = lengths.output
    steps = np.maximum(output.values - 1.0, 0.0)
    mean_steps = max(float(steps @ output.weights), 1e-9)
    survival = 1.0 - np.concatenate([[0.0], np.cumsum(output.weights)])
    edges = np.concatenate([[0.0], steps])
    kappa = float(np.sum(survival[:-1] ** 2 * np.diff(edges)) / mean_steps)
    peaked = max(0.05, 1.0 + (spread_scv - 1.0) * kappa)
    wait_scv = 0.5 * (spread_scv + output.scv)
    slow = occupancy(engine, demand, rate, slots, top.requests_per_s, peaked, wait_scv)

    cube = lattice(_POINTS, 9)
    u_slow, u_x, u_in, u_before, u_after, u_prompt, u_output, u_noise, u_wait = cube
    mean_d, var_d = slow.mean, slow.variance
    decode = slow.quantiles(u_slow)
    decode = np.minimum(decode, budget - 1.0)

    # Context of the running set varies too.
    node_d = np.quantile(decode, _NODES)
    life = mean_steps * float(np.interp(mean_d, slow.decoding, slow.step_s))
    full_s = float(engine.step_time.seconds(budget - mean_d, mean_d, mean_d * demand.context))
    room_mean = budget - mean_d
    drift = max(room_mean / full_s - rate * prompt.mean, 1e-9)
    tau = rate * prompt.second_moment * max(scv, 0.3) / drift**2
    keep = np.sqrt(1.0 / (1.0 + tau / life))
    node_d = mean_d + keep * (node_d - mean_d)
    node_d, inverse = np.unique(np.rint(node_d * 100) / 100, return_inverse=True)

    def solve(d: float) -> PromptBacklog:
        idle = d < 0.5
        d_at = d
        room = max(budget - d_at, 1.0)
        def step(p: Array) -> Array:
            return engine.step_time.seconds(p, d_at, d_at * demand.context)
        return solve_backlog(step, room=room, rate_per_s=rate, scv=scv, prompt=prompt, idle=idle, decode_steps=demand.decode_steps)

    solved = [solve(float(d)) for d in node_d]
    ratio_d = np.array([s.life_step_s / s.mean_step_s for s in solved])
    slow = occupancy(engine, demand, rate, slots, top.requests_per_s, peaked, wait_scv, (node_d, ratio_d))
    mean_d = slow.mean
    decode = slow.quantiles(u_slow)
    decode = np.minimum(decode, budget - 1.0)
    bounds = 0.5 * (node_d[1:] + node_d[:-1])
    chain_d = mean_d + keep * (decode - mean_d)
    node = np.searchsorted(bounds, chain_d)

    def step_at(p: Array, d: Array) -> Array:
        return np.asarray(engine.step_time.seconds(p, d, d * demand.context))

    # Gaps: every step, weighted by the sequences that decode in it.
    x_step = np.empty(_POINTS)
    x_seen = np.empty(_POINTS)
    before = np.empty(_POINTS)
    after = np.empty(_POINTS)
    idle_hit = np.zeros(_POINTS, dtype=bool)
    mean_step = np.array([s.mean_step_s for s in solved])
    rate_var = np.array([s.step_variance_rate_s2 for s in solved])
    room = np.maximum(budget - decode, 1.0)
    own_prompt = _quantile(prompt, u_prompt)
    for index, s in enumerate(solved):
        mask = node == index
        if not mask.any():
            continue
        x_step[mask] = s.grid[np.searchsorted(np.cumsum(s.life_weights), u_x[mask]).clip(max=s.grid.size - 1)]
        seconds = np.asarray(engine.step_time.seconds(np.minimum(s.grid, max(budget - node_d[index], 1.0)), node_d[index], node_d[index] * demand.context))
        biased = np.cumsum(s.weights * seconds)
        x_seen[mask] = s.grid[np.searchsorted(biased / biased[-1], u_x[mask]).clip(max=s.grid.size - 1)]
    size_biased = np.maximum(decode, 0.0)
    served = np.minimum(x_step, room)
    gap = step_at(served, decode)
    # spread of the context read
    itl = LatencyLaw.from_atoms(gap, size_biased + 1e-12) if size_biased.sum() > 0 else None

    if abs(scv - 1.0) > 0.02:
        per_token = full_s / room_mean
        work = Atoms(values=prompt.values, weights=prompt.weights)
        heavy = rate * prompt.mean * per_token
        reach = 8.0 * prompt.second_moment / prompt.mean * max(scv, 1.0) / max(1.0 - heavy, 0.02) + 2.0 * prompt.values[-1] * (prompt.values.size < 3)
        speed = room_mean / full_s
        true_wait = waiting_law(work, speed / rate, scv, top=reach).quantile(u_x)
        plain_wait = waiting_law(work, speed / rate, 1.0, top=reach).quantile(u_x)
        x_seen = np.maximum(x_seen + MIX * (true_wait - plain_wait), 0.0)

    # TTFT
    t_seen = step_at(np.minimum(x_seen, room), decode)
    ahead_time = u_in * t_seen
    behind_time = (1.0 - u_in) * t_seen
    for index, s in enumerate(solved):
        mask = node == index
        if not mask.any():
            continue
        before[mask] = s.arrivals.sample(ahead_time[mask], u_before[mask])
        idle_hit[mask] = u_slow[mask] * 0 + u_wait[mask] < s.idle_share
    ahead = np.maximum(x_seen - room, 0.0) + before
    ahead = np.where(idle_hit, 0.0, ahead)
    residual = np.where(idle_hit, 0.0, behind_time)
    total = ahead + own_prompt
    whole = np.maximum(np.ceil(total / room) - 1.0, 0.0)
    t_full = step_at(room, decode)
    behind_window = residual + whole * t_full
    for index, s in enumerate(solved):
        mask = node == index
        if mask.any():
            after[mask] = s.arrivals.sample(np.minimum(behind_window[mask], s.arrivals.windows_s[-1]), u_after[mask])
    after = np.where(idle_hit, 0.0, after)
    last = np.minimum(total - whole * room + after, room)
    prefill = whole * t_full + step_at(last, decode)
    wait = np.zeros(_POINTS)
    if slow.full_probability > 1e-6:
        mean_wait = wait_scv / (top.requests_per_s - rate)
        chance = slow.full_probability
        waits = u_slow > 1.0 - chance
        v = np.clip((u_slow - (1.0 - chance)) / chance, 0.0, 1.0 - 1e-9)
        wait = np.where(waits, -np.log1p(-v) * mean_wait, 0.0)
    queue = residual + np.maximum(np.ceil(ahead / room) - 1, 0) * t_full * (ahead > 0) + wait
    ttft = residual + prefill + wait

    # Decode phase
    count = np.maximum(_quantile(output, u_output) - 1.0, 0.0)
    step_mean = np.interp(decode, node_d, mean_step) if node_d.size > 1 else np.full(_POINTS, mean_step[0])
    life_own = np.maximum(count, 1.0) * step_mean
    ratio = life_own / max(life, 1e-9)
    shrink = np.sqrt(2.0 / ratio * (1.0 - (1.0 - np.exp(-ratio)) / ratio))
    d_life = mean_d + shrink * (decode - mean_d) + 1.0
    slow_t = np.asarray(mean_step_s(engine, demand, rate, np.clip(np.arange(0.0, slots + 2.0, max(1.0, slots / 256)), 0, None)))
    excess = np.array([s.start_excess_s for s in solved])[node]
    decay = np.array([s.start_decay for s in solved])[node]
    step_life = np.interp(d_life, np.arange(0.0, slots + 2.0, max(1.0, slots / 256)), slow_t)
    variance = np.interp(d_life, node_d, rate_var) if node_d.size > 1 else np.full(_POINTS, rate_var[0])
    base = step_at(np.zeros(_POINTS), d_life)
    mean_total = np.maximum(count * step_life + excess * (1.0 - decay**count), count * base)
    floor_total = count * np.minimum(base, step_life)
    extra = np.maximum(mean_total - floor_total, 1e-15)
    spread2 = np.minimum(np.log1p(count * variance / extra**2), 4.0)
    from scipy.special import ndtri

    noise = np.exp(np.sqrt(spread2) * ndtri(u_noise) - 0.5 * spread2)
    decoding = floor_total + np.minimum(extra * noise, count * t_full)
    e2e = ttft + decoding
    several = count > 0
    ones = np.ones(_POINTS)
    laws: dict[Metric, LatencyLaw] = {
        "queue": LatencyLaw.from_atoms(queue, ones),
        "ttft": LatencyLaw.from_atoms(ttft, ones),
        "e2e": LatencyLaw.from_atoms(e2e, ones),
    }
    if several.any():
        laws["tpot"] = LatencyLaw.from_atoms((decoding / np.maximum(count, 1.0))[several], ones[several])
    if itl is not None:
        laws["itl"] = itl
    return laws, mean_d
