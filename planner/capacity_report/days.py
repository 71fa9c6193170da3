"""Capacity day by day: what was used, needed and allocated, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import ServiceRecord

_COLUMNS = (
    Column(key="day", title="Day", kind=Kind.DATE),
    Column(key="hours", title="Hours", kind=Kind.HOURS, meaning="23 or 25 where the clocks change"),
    Column(key="requests", title="Requests", kind=Kind.COUNT, summed=True),
    Column(key="used_gpu_h", title="Used GPU-h", kind=Kind.GPU_HOURS, summed=True),
    Column(key="needed_gpu_h", title="Needed GPU-h", kind=Kind.GPU_HOURS, summed=True),
    Column(key="allocated_gpu_h", title="Allocated GPU-h", kind=Kind.GPU_HOURS, summed=True),
    Column(key="shortfall_gpu_h", title="Short GPU-h", kind=Kind.GPU_HOURS, summed=True),
    Column(key="unknown_service_h", title="Service-hours without data", kind=Kind.HOURS, summed=True,
           meaning="hours of services in which demand or replicas are not known"),
)  # fmt: skip


def days_table(
    records: Sequence[ServiceRecord], period: Period, *, covered: int, beside: NDArray[np.float64] | None = None
) -> Table:
    """A row for each day that has begun; sums over services, with what is not known left out and counted.

    `beside` are GPUs that are paid and held by no service, in each slot.
    """
    hours = period.slot_s / 3600.0
    totals: dict[str, NDArray[np.float64]] = {
        name: np.zeros(period.slots) for name in ("requests", "used", "needed", "allocated", "shortfall", "unknown")
    }
    for each in records:
        totals["requests"] += np.nan_to_num(each.history.requests)
        for name in ("used", "needed", "allocated", "shortfall"):
            totals[name] += np.nan_to_num(getattr(each.use, name)) * hours
        totals["unknown"] += (np.isnan(each.rate_per_s) | np.isnan(each.use.allocated)) * hours
    if beside is not None:
        totals["allocated"] += beside * hours
    rows: list[dict[str, Any]] = []
    for day, first, last in period.days:
        chosen = slice(first, min(last, covered))
        if first >= covered:
            break
        sums = {name: float(values[chosen].sum()) for name, values in totals.items()}
        rows.append(
            {
                "day": day,
                "hours": hours * (chosen.stop - chosen.start),
                "requests": sums["requests"],
                **{f"{name}_gpu_h": sums[name] for name in ("used", "needed", "allocated", "shortfall")},
                "unknown_service_h": sums["unknown"],
            }
        )
    return Table(name="days", title="Day by day", columns=_COLUMNS, rows=rows_of(_COLUMNS, rows))
