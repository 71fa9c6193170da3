"""Demand is arrivals: an engine that saturates completes less than arrives."""

from __future__ import annotations

from controller.snapshot import EngineReadings


def arrivals_per_s(readings: EngineReadings) -> float | None:
    """Requests that arrive a second; None where nothing counts them.

    A counter before the engines says it; else what ended (well or not), what was turned away, and by how much what is
    inside has grown. The last may be negative while a queue drains, so that the sum is cut at 0.
    """
    if readings.arrived_per_s is not None:
        return readings.arrived_per_s
    if readings.succeeded_per_s is None:
        return None
    ended = readings.succeeded_per_s + readings.failed_per_s
    return max(0.0, ended + readings.rejected_per_s + readings.growth_per_s)


def nothing_comes(readings: EngineReadings) -> bool:
    """Whether it is known that no request arrives and none is inside: how long they would be does not matter then."""
    return arrivals_per_s(readings) == 0.0 and not readings.running and not readings.waiting


def to_drain_per_s(readings: EngineReadings, *, within_s: float) -> float:
    """The rate beside arrivals at which waiting requests must be served to be gone within a time."""
    return (readings.waiting or 0.0) / within_s
