"""How far measured times are from the profile's, at the load and the replicas that there are."""

from __future__ import annotations

import math
from dataclasses import replace
from zlib import crc32

from controller.capacity_model import CapacityModel, Load, Means
from controller.demand import arrivals_per_s
from controller.memory import Memory
from controller.planned_load import load_of
from controller.reasons import Code, Reason
from controller.recalibration import Drift, Ratios, updated
from controller.snapshot import EngineReadings, Snapshot

MOST_BUSY = 0.7
"""Share of the capacity beyond which a time to first token is mostly waiting, which tells little of the engine."""
MOST_QUEUED = 0.3
"""Share of the predicted time to first token that may be waiting, for the end of a step at least."""
LEAST_REQUESTS = 60.0
"""In the window, for a mean of times to first token: they vary by about their mean."""
FIRST_WITHIN = 3.0
"""Windows after the first."""
COARSE = 1.03
"""Rates are compared on a grid of this factor, so that a steady load with its noise asks few questions."""
SLACK_S = 0.01
"""Of a time to first token, for what stands before the engine's steps and has nothing to do with their speed."""


def measured_drift(
    snapshot: Snapshot, memory: Memory, capacity: CapacityModel, readings: EngineReadings
) -> tuple[Drift, Memory]:
    """Measured over predicted times, each smoothed over those before; and the memory with them.

    Once a window: means over windows that overlap tell the same again.
    """
    found = Ratios()
    if _due(snapshot, memory, readings.window_s):
        found = _ratios(snapshot, memory, capacity, readings)
    drift = _with(memory, found)
    return drift, replace(
        memory,
        drifted=None if drift.gaps is None and drift.first_token is None else drift.measured,
        gaps_drifted=drift.gaps,
        first_token_drifted=drift.first_token,
        slowdown=drift.applied,
        compared_s=snapshot.now_s if found.measured else memory.compared_s,
    )


def _due(snapshot: Snapshot, memory: Memory, window_s: float) -> bool:
    """The first time each policy has a moment of its own: a thousand that began together are not compared together."""
    if memory.compared_s is not None:
        return snapshot.now_s - memory.compared_s >= 0.99 * window_s
    own = crc32(snapshot.policy.encode()) % 1024 / 1024.0
    return snapshot.now_s - memory.ready_since_s >= (1.0 + FIRST_WITHIN * own) * window_s


def known_drift(memory: Memory) -> Drift:
    """What was measured before."""
    return _with(memory, Ratios())


def _with(memory: Memory, found: Ratios) -> Drift:
    gaps, first_token = memory.gaps_drifted, memory.first_token_drifted
    if gaps is None and first_token is None:
        gaps = memory.drifted  # of a memory that told them not apart
    return updated(gaps, first_token, found, before=memory.slowdown)


def drift_told(drift: Drift) -> tuple[Reason, ...]:
    if drift.fresh:
        return ()
    return (Reason(code=Code.RECALIBRATED, message=f"{drift.told}; planned with {drift.applied:.2f}"),)


def _ratios(snapshot: Snapshot, memory: Memory, capacity: CapacityModel, readings: EngineReadings) -> Ratios:
    """Of times that are as the model means them: all pods report, as many as a window ago, and no queue stands."""
    assert snapshot.target is not None
    ready, arriving = snapshot.target.pods.ready, arrivals_per_s(readings)
    steady = (
        snapshot.observation.evidence.complete
        and not (snapshot.target.rolling or snapshot.target.status_behind)
        and memory.same_pods(snapshot.now_s, readings.window_s)
    )
    if not steady or not ready or not arriving or (readings.waiting or 0.0) > 0.0:
        return Ratios()
    load = load_of(snapshot, memory, COARSE ** round(math.log(arriving, COARSE)))
    if capacity.makes_tokens and (load.prompt_tokens is None or load.output_tokens is None):
        return Ratios()
    if not capacity.makes_tokens:
        e2e = _ratio(readings.e2e_s, capacity, load, ready, "e2e_s")
        return Ratios(gaps=e2e)
    gaps = _ratio(readings.itl_s, capacity, load, ready, "itl_s")
    first_token = None
    if arriving * readings.window_s >= LEAST_REQUESTS:
        first_token = _first_token(readings.ttft_s, capacity, load, ready)
    return Ratios(gaps=gaps, first_token=first_token)


def _ratio(measured_s: float | None, capacity: CapacityModel, load: Load, ready: int, name: str) -> float | None:
    found = None if measured_s is None else _means(capacity, load, ready)
    predicted_s = None if found is None else getattr(found[0], name)
    if found is None or measured_s is None or not predicted_s:
        return None
    return float(found[1] * measured_s / predicted_s)


def _first_token(measured_s: float | None, capacity: CapacityModel, load: Load, ready: int) -> float | None:
    """None where first tokens wait, by the model: how long depends on much more than on speed."""
    found = None if measured_s is None else _means(capacity, load, ready)
    if found is None or measured_s is None:
        return None
    means, slowdown = found
    if not means.ttft_s or means.utilization > MOST_BUSY or (means.queue_s or 0.0) > MOST_QUEUED * means.ttft_s:
        return None
    excess_s = max(0.0, measured_s - means.ttft_s - SLACK_S) + min(0.0, measured_s - means.ttft_s)
    return slowdown * (1.0 + excess_s / means.ttft_s)


def _means(capacity: CapacityModel, load: Load, ready: int) -> tuple[Means, float] | None:
    """Predicted with the factor that is applied now, and the factor: a slower engine also holds more requests, and so
    the factor that explains the times is not their ratio but where predicted and measured meet.
    """
    for slowdown in dict.fromkeys((load.slowdown, 1.0)):
        means = capacity.means(replace(load, slowdown=slowdown), ready)
        if means.itl_s is not None or means.e2e_s is not None:
            return means, slowdown
    return None
