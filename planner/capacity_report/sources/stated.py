"""What somebody says was the same at all times: replicas, or a plan's demand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.capacity_report.history import History
from planner.capacity_report.period import Period


def stated_replicas(replicas: float, period: Period) -> History:
    """As the fleet file says."""
    return replace(
        History.unknown(period),
        replicas=np.full(period.slots, float(replicas)),
        sources=(f"{replicas:g} replicas at all times, as the fleet file says",),
    )


def stated_demand(
    rate_per_s: float, period: Period, *, input_tokens: float | None, output_tokens: float | None
) -> History:
    """As a plan says; tokens where lengths are stated too."""
    requests = np.full(period.slots, rate_per_s * period.slot_s)
    return replace(
        History.unknown(period),
        requests=requests,
        input_tokens=requests * (np.nan if input_tokens is None else input_tokens),
        output_tokens=requests * (np.nan if output_tokens is None else output_tokens),
        sources=(f"{rate_per_s:g} requests a second at all times, as the fleet file says",),
    )
