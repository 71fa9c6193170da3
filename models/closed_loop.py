"""Closed workloads: a fixed number of users in place of an arrival rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
    if fixed and think_time_s == 0.0 and users <= load.slots and max(1.0, users) == round(max(1.0, users)):
        return _cohort(load, max(1.0, users))
    return _mixed(load, max(1.0, users), think_time_s)


@dataclass(frozen=True, kw_only=True)
class _Cycle:
    """What the last rounds of a deterministic closed loop showed."""

    ttft: list[tuple[float, float]]
    queue: list[tuple[float, float]]
    e2e: list[tuple[float, float]]
    gaps: list[tuple[float, float]]


def _cohort(load: ReplicaLoad, users: float) -> tuple[float, dict[Metric, LatencyLaw], Occupancy]:
    """Users of equal lengths, step by step in cohorts until the rounds repeat: no chance is left to integrate over.

    Users whose prompts end in one step decode, finish and ask again together. Steps without prompts are taken in one
    leap to the next finish.
    """
    count, decode = round(users), round(load.demand.decode_steps)
    horizon = 6 * count
    clock, finished = 0.0, 0
    waiting: list[list[float]] = [[float(count), 0.0, count * load.prompt.mean, -1.0]]
    running: list[list[float]] = []
    seen = _Cycle(ttft=[], queue=[], e2e=[], gaps=[])
    began, base = 0.0, 0
    while finished < horizon:
        late = finished >= horizon // 2
        if late and not base:
            began, base = clock, finished
        decoding = sum(cohort[0] for cohort in running)
        budget = float(load.room(np.array(decoding)))
        leap = 1.0 if waiting else min(cohort[1] for cohort in running)
        age = sum(cohort[0] * (decode - cohort[1]) for cohort in running) + decoding * 0.5 * (leap + 1.0)
        taken = min(budget, sum(group[2] for group in waiting))
        kv = decoding * load.lengths.prompt.mean + age
        step = float(load.engine.step_time.seconds(taken, decoding, kv))
        if waiting and waiting[0][3] < 0.0 and taken > 0.0:
            waiting[0][3] = clock
        clock += step * leap
        if late and decoding:
            seen.gaps.append((step, decoding * leap))
        _advance(running, leap)
        done = _prefill(load, waiting, taken, clock, seen if late else None)
        ended = [cohort for cohort in running if cohort[1] <= 0.0] if decode else done
        running = [cohort for cohort in running if cohort[1] > 0.0]
        if decode:
            running += done
        for cohort in ended:
            finished += int(cohort[0])
            if late:
                seen.e2e.append((clock - cohort[2], cohort[0]))
            waiting.append([cohort[0], clock, cohort[0] * load.prompt.mean, -1.0])
    rate = (finished - base) / max(clock - began, 1e-12)
    held = Occupancy(
        decoding=np.array([float(count)]),
        weights=np.ones(1),
        full_probability=0.0,
        mean_wait_s=0.0,
        crowded_probability=0.0,
        population=True,
    )
    return rate, _cycle_laws(seen, decode), held


def _advance(running: list[list[float]], steps: float) -> None:
    for cohort in running:
        cohort[1] -= steps


def _prefill(
    load: ReplicaLoad, waiting: list[list[float]], tokens: float, clock: float, seen: _Cycle | None
) -> list[list[float]]:
    """Give prompt tokens to the groups in their order; return the cohorts whose prompts are complete."""
    done: list[list[float]] = []
    prompt = load.prompt.mean
    while waiting and tokens > 1e-9:
        group = waiting[0]
        used = min(tokens, group[2])
        tokens -= used
        left = group[2] - used
        complete = group[0] - math.ceil(left / prompt - 1e-9)
        if complete > 0.0:
            done.append([complete, float(round(load.demand.decode_steps)), group[1]])
            if seen is not None:
                seen.ttft.append((clock - group[1], complete))
                seen.queue.append((max(group[3], group[1]) - group[1], complete))
            group[0] -= complete
        group[2] = left
        if group[0] <= 0.0:
            waiting.pop(0)
        else:
            group[3] = clock
    return done


def _cycle_laws(seen: _Cycle, decode: int) -> dict[Metric, LatencyLaw]:
    laws: dict[Metric, LatencyLaw] = {
        "ttft": _law(seen.ttft),
        "e2e": _law(seen.e2e),
        "queue": _law(seen.queue),
    }
    if decode:
        laws["itl"] = _law(seen.gaps)
        # A cohort's e2e less its TTFT; cohorts differ little, so the mean TTFT stands for each.
        e2e = [(max(value - laws["ttft"].mean_s, 0.0) / decode, weight) for value, weight in seen.e2e]
        laws["tpot"] = _law(e2e)
    return laws


def _law(values: list[tuple[float, float]]) -> LatencyLaw:
    table = np.array(values)
    return LatencyLaw.from_atoms(table[:, 0], table[:, 1])


def _mixed(load: ReplicaLoad, users: float, think_time_s: float) -> tuple[float, dict[Metric, LatencyLaw], Occupancy]:
    """Solve users = rate × (e2e + think): secant steps on logarithms, kept inside a shrinking bracket."""
    low, high = 1e-9, load.saturation_per_s * 0.9999
    floor_s = load.demand.decode_steps * float(load.step_s(0.0, 1.0)) + float(load.step_s(load.prompt.mean, 0.0))
    rate = min(high, 0.7 * users / (think_time_s + floor_s))
    power = 1.5
    previous: tuple[float, float] | None = None
    while True:
        laws, slow = _at_rate(load, rate, users, think_time_s)
        error = math.log(rate * (laws["e2e"].mean_s + think_time_s) / users)
        if abs(error) < 3e-3 or high / low < 1.0005 or (rate >= high * 0.9999 and error < 0.0):
            break
        low, high = (low, rate) if error > 0.0 else (rate, high)
        if previous is not None and previous[0] != rate:
            slope = (error - previous[1]) / math.log(rate / previous[0])
            power = min(max(slope, 1.0), 20.0)
        previous = (rate, error)
        guess = rate * math.exp(-error / power)
        rate = guess if low < guess < high else math.sqrt(low * high) if low > 1e-6 else 0.5 * (low + high)
    waiting = users - rate * (laws["e2e"].mean_s + think_time_s)
    if waiting > 0.005 * users:
        # More users than the replica can run: the rest wait for a slot, each about as long as all the others.
        wait = waiting / rate
        for metric in ("ttft", "e2e", "queue"):
            laws[metric] = laws[metric].later(wait)
    return rate, laws, slow


def _at_rate(
    load: ReplicaLoad, rate: float, users: float, think_time_s: float
) -> tuple[dict[Metric, LatencyLaw], Occupancy]:
    at_rate = replace(load, rate_per_s=rate)
    decoding = _decoding(load, rate, users, think_time_s)
    thinking = min(1.0, rate * think_time_s / users)
    held = closed_occupancy(at_rate, mean=decoding, variance=max(0.05, decoding * thinking + 0.02 * decoding))
    return replica_laws(at_rate, held)


def _decoding(load: ReplicaLoad, rate: float, users: float, think_time_s: float) -> float:
    """Users that decode: all but those that think or whose prompt is being computed."""
    prefill_s = float(load.step_s(load.prompt.mean, min(users, load.slots)))
    return float(min(max(users - rate * (think_time_s + prefill_s), 0.0), load.slots))
