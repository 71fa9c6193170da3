"""One run of a sweep: its load, how many requests make its means as exact as wanted, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.measurement import Measurement
from models.sweep_design import Load

SPREAD = 0.3
"""Relative standard deviation of TPOT over requests at low load; near saturation it grows like 1 / (1 − utilisation).

Measured on the step simulator (0.5, 1.3 and 2.9 at utilisations 0.4, 0.7 and 0.9, for TPOT and TTFT alike).
"""
ROUNDS = 20
"""Requests of a closed loop for each user: the first of them prefill together, which is not a steady state."""
LEAST_REQUESTS, MOST_REQUESTS = 60, 20_000
LEAST_WARMUPS = 10
LEAST_OPEN_S = 30.0
"""An open load lasts this long at least: a client that starts late sends what it missed in one burst (GuideLLM 0.8
was seen to send 70 requests of 3.5 s within 0.4 s)."""
UNKNOWN_UTILIZATION = 0.8
"""Assumed of an open load where nothing is known of the engine."""
MOST_UTILIZATION = 0.95
"""At and beyond this an open load is sized as at this: its queue grows as long as it lasts."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A load to run, and how long."""

    index: int
    """From 1."""
    load: Measurement
    requests: int
    warmups: int
    """Requests before those that count, to fill the engine to its steady state."""
    expected_s: float | None
    """How long it should last; None where nothing is known of the engine."""

    @property
    def name(self) -> str:
        """Such as `03-closed-c32-i512-o128`."""
        load = self.load
        kind = f"open-r{load.arrival_rate_per_s:g}" if load.concurrency is None else f"closed-c{load.concurrency:g}"
        return f"{self.index:02d}-{kind}-i{load.input_tokens:g}-o{load.output_tokens:g}"

    @property
    def input_tokens(self) -> str:
        """As an argument."""
        return f"{self.load.input_tokens:.0f}"

    @property
    def output_tokens(self) -> str:
        """As an argument."""
        return f"{self.load.output_tokens:.0f}"

    @property
    def users(self) -> str | None:
        """As an argument; None for an open load."""
        return None if self.load.concurrency is None else f"{self.load.concurrency:.0f}"

    @property
    def rate(self) -> str:
        """Arrivals per second as an argument; of an open load only."""
        return f"{self.load.arrival_rate_per_s:g}"


def plan_runs(loads: Iterable[Load | Measurement], *, noise: float, warms_up: bool) -> tuple[PlannedRun, ...]:
    """The runs of a sweep in the order given. `noise`: one relative standard error of mean TPOT and TTFT."""
    return tuple(_planned(loads, noise, warms_up))


def _planned(loads: Iterable[Load | Measurement], noise: float, warms_up: bool) -> Iterator[PlannedRun]:
    for index, entry in enumerate(loads, start=1):
        load = entry.load if isinstance(entry, Load) else entry
        known = entry if isinstance(entry, Load) else None
        requests = requests_for(load, None if known is None else known.utilization, noise)
        inside = load.concurrency or 1.0
        if known is not None and load.concurrency is None:
            expected = known.expected
            inside = expected.requests_per_s * (expected.ttft_s + load.decode_steps * expected.tpot_s)  # Little
        warmups = max(LEAST_WARMUPS, min(requests, math.ceil(2.0 * inside))) if warms_up else 0
        lasting = None if known is None else (requests + warmups) / known.expected.requests_per_s
        yield PlannedRun(index=index, load=load, requests=requests, warmups=warmups, expected_s=lasting)


def requests_for(load: Measurement, utilization: float | None, noise: float) -> int:
    """Requests for which the mean of TPOT has the relative standard error `noise`."""
    if load.concurrency is not None:
        wanted = max((SPREAD / noise) ** 2, ROUNDS * load.concurrency)
    else:
        busy = UNKNOWN_UTILIZATION if utilization is None else min(utilization, MOST_UTILIZATION)
        wanted = max((SPREAD / ((1.0 - busy) * noise)) ** 2, LEAST_OPEN_S * (load.arrival_rate_per_s or 0.0))
    return max(LEAST_REQUESTS, min(MOST_REQUESTS, math.ceil(wanted - 1e-6)))
