"""A number of replicas that somebody says was the same at all times."""

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
