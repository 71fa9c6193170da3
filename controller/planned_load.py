"""The load that is planned for: what arrives and waits now, or what is expected one cold start ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.capacity_model import CapacityModel, Load
from controller.decision import DemandView
from controller.demand import arrivals_per_s, nothing_comes, to_drain_per_s
from controller.held_load import LENGTHS_HELD_S, held_rate
from controller.memory import Followed, Memory, Sample
from controller.reasons import Code, Reason
from controller.snapshot import EngineReadings, Snapshot
from controller.trust import at
from models.demand_forecast import level_and_trend
from planner.units import format_number, format_seconds

DEFAULT_COLD_START_S = 120.0
"""Where the profile states none."""
LEAST_DRAIN_S = 60.0
"""A queue is planned to be gone within a cold start, and not sooner than this."""
NOTABLE_GAIN = 0.02
"""Beyond what arrives now, worth telling of."""


@dataclass(frozen=True, kw_only=True)
class PlannedLoad:
    """The load that is planned for, and why."""

    load: Load
    view: DemandView
    reasons: tuple[Reason, ...]


def planned_load(snapshot: Snapshot, memory: Memory, capacity: CapacityModel, readings: EngineReadings) -> PlannedLoad:
    """The load one cold start ahead, at the quantile; never below what arrives now."""
    forecast = snapshot.spec.behavior.forecast
    horizon_s = _horizon_s(snapshot, capacity)
    arriving = arrivals_per_s(readings) or 0.0
    expected = _expected(memory, horizon_s, readings.window_s, forecast.quantile)
    drain_s = max(horizon_s, LEAST_DRAIN_S)
    draining = to_drain_per_s(readings, within_s=drain_s)
    present = arriving + draining
    planned = held_rate(memory.planned_per_s, max(present, expected), present_per_s=present, window_s=readings.window_s)
    reasons = []
    if expected > arriving * (1.0 + NOTABLE_GAIN):
        reasons.append(
            Reason(
                code=Code.DEMAND_EXPECTED,
                message=f"{format_number(expected)} requests/s in {format_seconds(horizon_s)} at the "
                f"{forecast.quantile:.0%} quantile, {format_number(arriving)} now",
            )
        )
    if draining > arriving * NOTABLE_GAIN and planned > expected:
        waiting, time = format_number(readings.waiting or 0.0), format_seconds(drain_s)
        reasons.append(Reason(code=Code.QUEUE_WAITS, message=f"{waiting} requests wait, to be served within {time}"))
    load = load_of(snapshot, memory, planned)
    if (
        capacity.makes_tokens
        and snapshot.spec.workload.input_tokens is None
        and load.prompt_tokens is not None
        and None in (memory.prompt_cv, memory.output_cv)
    ):
        reasons.append(_spread_assumed(load))
    reasons += _lengths_told(snapshot, memory, capacity, readings, load)
    view = DemandView(
        arriving_per_s=arriving,
        planned_per_s=planned,
        horizon_s=horizon_s,
        quantile=forecast.quantile,
        prompt_tokens=load.prompt_tokens,
        output_tokens=load.output_tokens,
        slowdown=memory.slowdown,
    )
    return PlannedLoad(load=load, view=view, reasons=tuple(reasons))


def _lengths_told(
    snapshot: Snapshot, memory: Memory, capacity: CapacityModel, readings: EngineReadings, load: Load
) -> list[Reason]:
    """Whose lengths are planned with where no request tells them now; nothing where nothing is planned for."""
    told = None not in (readings.prompt_tokens, readings.output_tokens)
    if told or not capacity.makes_tokens or snapshot.spec.workload.input_tokens is not None or not load.rate_per_s:
        return []
    if load.prompt_tokens is None or load.output_tokens is None:
        message = (
            "no request has ended yet, so lengths are not known: one replica, or as many as there are, until some tell "
            "them; spec.workload states them for such times"
        )
        return [] if nothing_comes(readings) else [Reason(code=Code.LENGTHS_UNKNOWN, message=message)]
    message = (
        f"no request has ended in the window; planned with lengths of {at(memory.lengths_s or snapshot.now_s)}, "
        f"{format_number(load.prompt_tokens)} tokens in and {format_number(load.output_tokens)} out; they are held for "
        f"{LENGTHS_HELD_S / 86_400.0:.0f} days"
    )
    return [Reason(code=Code.LENGTHS_HELD, message=message)]


def _spread_assumed(load: Load) -> Reason:
    return Reason(
        code=Code.LENGTHS_ASSUMED,
        message="no histogram tells how lengths of requests vary yet; planned with spec.workload's coefficients of "
        f"variation, {load.input_cv:g} of prompts and {load.output_cv:g} of answers",
    )


def load_of(snapshot: Snapshot, memory: Memory, rate_per_s: float) -> Load:
    """Requests as they are, at a rate; where the policy states their lengths, they are as it says."""
    stated = snapshot.spec.workload
    told = stated.input_tokens is not None
    return Load(
        rate_per_s=rate_per_s,
        prompt_tokens=stated.input_tokens or _held(memory.prompt),
        output_tokens=stated.output_tokens or _held(memory.output),
        input_cv=stated.input_cv if told or memory.prompt_cv is None else memory.prompt_cv,
        output_cv=stated.output_cv if told or memory.output_cv is None else memory.output_cv,
        burstiness=stated.burstiness,
        slowdown=memory.slowdown,
    )


def _held(length: Followed | None) -> float | None:
    return None if length is None else length.held


def _horizon_s(snapshot: Snapshot, capacity: CapacityModel) -> float:
    asked = snapshot.spec.behavior.forecast.horizon
    if asked == "coldStart":
        return capacity.cold_start_s or DEFAULT_COLD_START_S
    return float(asked)


def _expected(memory: Memory, horizon_s: float, window_s: float, quantile: float) -> float:
    """The rate at the quantile; a sample is a mean over a window, and so tells of the moment half a window ago."""
    samples = _apart(memory.demand, window_s)
    if not samples:
        return 0.0
    found = level_and_trend(
        [each.at_s for each in samples],
        [each.value for each in samples],
        horizon_s=horizon_s + 0.5 * window_s,
        window_s=window_s,
    )
    return found.quantile(quantile)


def _apart(samples: Sequence[Sample], window_s: float) -> list[Sample]:
    """The newest sample and those a window apart before it: means over windows that overlap repeat the same noise."""
    kept: list[Sample] = []
    for sample in reversed(samples):
        if not kept or kept[-1].at_s - sample.at_s >= 0.99 * window_s:
            kept.append(sample)
    return kept[::-1]
