"""Closed workloads: a fixed number of users in place of an arrival rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.latency_law import LatencyLaw
from models.objective import Metric
from models.replica_laws import replica_laws
from models.replica_load import ReplicaLoad
from models.slow_occupancy import Occupancy, closed_occupancy


def closed_laws(
    load: ReplicaLoad, *, users: float, think_time_s: float
) -> tuple[float, dict[Metric, LatencyLaw], Occupancy]:
    """Rate of one replica with `users` users, the laws, and the occupancy.

    Little's law closes the loop: users = rate × (e2e + think). Users of equal lengths and no think time move as one
    cohort, prefill together and decode together, for ever; all others mix, and then the arrivals of a replica look like
    its departures, near Poisson, at an occupancy that its population holds fixed.
    """
    fixed = load.lengths.prompt.scv < 1e-9 and load.lengths.output.scv < 1e-9
    if fixed and think_time_s == 0.0 and users <= load.slots:
        return _cohort(load, max(1.0, users))
    return _mixed(load, max(1.0, users), think_time_s)


def _cohort(load: ReplicaLoad, users: float) -> tuple[float, dict[Metric, LatencyLaw], Occupancy]:
    """All users in step: prompts of all fill steps one after another, each user decoding once its prompt is done."""
    count = round(users)
    prompt = load.prompt.mean
    decode = round(load.demand.decode_steps)
    first = np.zeros(count)
    clock = 0.0
    gaps: list[tuple[float, int]] = []
    left = count * prompt
    done = 0
    while left > 0.0:
        tokens = min(left, max(load.budget - done, 1.0))
        step = float(load.step_s(tokens, float(done)))
        clock += step
        left -= tokens
        if done and decode:
            gaps.append((step, done))
        finished = count if left <= 0.0 else int((count * prompt - left) // prompt)
        first[done:finished] = clock
        done = finished
    ages = np.arange(1.0, decode + 1.0)
    steps = np.asarray(load.engine.step_time.seconds(0.0, float(count), count * (load.lengths.prompt.mean + ages)))
    total = clock + float(steps.sum())
    lag = first[-1] - first
    values = np.concatenate([[gap for gap, _ in gaps], steps])
    weights = np.concatenate([[float(many) for _, many in gaps], np.full(decode, float(count))])
    e2e = np.full(count, total)
    ones = np.ones(count)
    laws: dict[Metric, LatencyLaw] = {
        "ttft": LatencyLaw.from_atoms(first, ones),
        "e2e": LatencyLaw.from_atoms(e2e, ones),
        "queue": LatencyLaw.from_atoms(np.maximum(first - first[0], 0.0), ones),
    }
    if decode:
        laws["itl"] = LatencyLaw.from_atoms(values, weights)
        laws["tpot"] = LatencyLaw.from_atoms((float(steps.sum()) + lag) / decode, ones)
    held = Occupancy(
        decoding=np.array([float(count)]), weights=np.ones(1), full_probability=0.0, mean_wait_s=0.0
    )
    return count / total, laws, held


def _mixed(
    load: ReplicaLoad, users: float, think_time_s: float
) -> tuple[float, dict[Metric, LatencyLaw], Occupancy]:
    """Solve users = rate × (e2e + think) by secant on the rate, the occupancy held at what the rate implies."""
    low, high = 0.0, load.saturation_per_s * 0.9999
    demand = load.demand
    rate = min(high, users / (think_time_s + demand.decode_steps * float(load.step_s(0.0, users)) + 1e-9))
    if users <= 1.0 and think_time_s == 0.0:
        rate = min(rate, high)
    best: tuple[dict[Metric, LatencyLaw], Occupancy] | None = None
    for _ in range(12):
        decoding = _decoding(load, rate, users, think_time_s)
        idle = min(1.0, rate * think_time_s / users)
        variance = max(0.05, decoding * idle + 0.02 * decoding)
        held = closed_occupancy(replace(load, rate_per_s=rate), mean=decoding, variance=variance)
        laws, slow = replica_laws(replace(load, rate_per_s=rate), held)
        best = laws, slow
        inside = rate * (laws["e2e"].mean_s + think_time_s)
        if abs(inside / users - 1.0) < 2e-3 or high - low < 1e-4 * high:
            break
        if inside > users:
            high = rate
        else:
            low = rate
        guess = rate * users / inside
        rate = guess if low < guess < high else 0.5 * (low + high)
    assert best is not None
    laws, slow = best
    waiting = users - rate * (laws["e2e"].mean_s + think_time_s)
    if waiting > 0.005 * users:
        # More users than the replica can run: the rest wait for a slot, each about as long as all the others.
        wait = waiting / rate
        for metric in ("ttft", "e2e", "queue"):
            law = laws[metric]
            laws[metric] = LatencyLaw(values_s=law.values_s + wait, cdf=law.cdf, mean_s=law.mean_s + wait)
    return rate, laws, slow


def _decoding(load: ReplicaLoad, rate: float, users: float, think_time_s: float) -> float:
    """Users that decode: all but those that think or whose prompt is being computed."""
    prefill_s = float(load.step_s(load.prompt.mean, min(users, load.slots)))
    return float(min(max(users - rate * (think_time_s + prefill_s), 0.0), load.slots))
