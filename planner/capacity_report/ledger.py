"""The ledger: one line a service and stretch of one price; every sum of the report is a sum of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.document import Column, Kind, Table, rows_of
from planner.capacity_report.history import Slots
from planner.capacity_report.measures import (
    CAUSES,
    MONEY,
    QUANTITIES,
    RATIOS,
    SERVICE_LEVEL,
    priced,
    summed,
    with_ratios,
)
from planner.capacity_report.period import Period
from planner.capacity_report.service_record import ServiceRecord

NAMES = (
    Column(key="service", title="Service"),
    Column(key="team", title="Team"),
    Column(key="model", title="Model"),
    Column(key="environment", title="Environment"),
    Column(key="cluster", title="Cluster"),
    Column(key="gpu", title="GPU"),
)
LINE = (
    *NAMES,
    Column(key="price_key", title="Price key", meaning="its row in the table of prices, or in that of mixed prices"),
    Column(key="start", title="From"),
    Column(key="end", title="To", meaning="the first moment that is no longer in it"),
    Column(key="hours", title="Hours", kind=Kind.HOURS),
    Column(key="demand_unknown_h", title="Hours without demand", kind=Kind.HOURS, meaning="demand is not known"),
    Column(key="replicas_unknown_h", title="Hours without replicas", kind=Kind.HOURS,
           meaning="what was allocated is not known: these hours are in no sum"),
    *QUANTITIES,
    Column(key="price", title="Price of a GPU-h", kind=Kind.PRICE, meaning="effective price of the price key"),
    *MONEY,
    *SERVICE_LEVEL,
    *RATIOS,
)  # fmt: skip

GROUPINGS = {
    "team": "By team",
    "model": "By model",
    "environment": "By environment",
    "cluster": "By cluster",
    "gpu": "By GPU type",
    "service": "By service",
}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of the period with one price."""

    key: str
    start_s: float
    end_s: float
    price: float | None
    """Effective, of a GPU for an hour, in the report's currency; None where it is not known."""


def lines(record: ServiceRecord, period: Period, stretches: Sequence[Stretch], *, covered: int) -> list[dict[str, Any]]:
    """The lines of one service, over the slots that are over."""
    found = []
    for stretch in stretches:
        first = max(0, period.slot_of(stretch.start_s))
        last = min(covered, period.slot_of(stretch.end_s - 1.0) + 1)
        if first < last:
            found.append(_line(record, period, stretch, slice(first, last)))
    return found


def _line(record: ServiceRecord, period: Period, stretch: Stretch, chosen: slice) -> dict[str, Any]:
    hours = period.slot_s / 3600.0
    use = record.use
    fields = record.accounted.fields
    allocated = _sum(use.allocated[chosen], hours)
    judged = _minutes(~np.isnan(record.met[chosen]), period)
    tokens = record.history.input_tokens + record.history.output_tokens
    row = {
        "service": fields.name,
        "team": fields.team,
        "model": record.accounted.profile.spec.model,
        "environment": fields.environment,
        "cluster": fields.cluster,
        "gpu": record.accounted.gpu,
        "price_key": stretch.key,
        "start": iso(period.edges_s[chosen.start]),
        "end": iso(period.edges_s[chosen.stop]),
        "hours": hours * (chosen.stop - chosen.start),
        "demand_unknown_h": hours * int(np.isnan(record.rate_per_s[chosen]).sum()),
        "replicas_unknown_h": hours * int(np.isnan(use.allocated[chosen]).sum()),
        "requests": _sum(record.history.requests[chosen]),
        "input_tokens": _sum(record.history.input_tokens[chosen]),
        "output_tokens": _sum(record.history.output_tokens[chosen]),
        "used_gpu_h": _sum(use.used[chosen], hours),
        "needed_gpu_h": _sum(use.needed[chosen], hours),
        "allocated_gpu_h": allocated,
        "idle_gpu_h": _sum(use.idle[chosen], hours),
        **{f"{cause}_gpu_h": _sum(getattr(use, cause)[chosen], hours) for cause in CAUSES},
        "unexplained_gpu_h": _sum(use.unexplained[chosen], hours),
        "shortfall_gpu_h": _sum(use.shortfall[chosen], hours),
        **_together("request_gpu_h", "costed_requests", use.allocated, record.history.requests, chosen, stretch, hours),
        **_together("token_gpu_h", "costed_tokens", use.allocated, tokens, chosen, stretch, hours),
        "price": stretch.price,
        "breach_minutes": _minutes(record.met[chosen] == 0.0, period) if judged else None,
        "judged_minutes": judged or None,
    }
    return with_ratios(priced(row, stretch.price))


def _together(
    hours_key: str, amount_key: str, allocated: Slots, amount: Slots, chosen: slice, stretch: Stretch, hours: float
) -> dict[str, float | None]:
    """GPU-hours and what was done in them, of the same slots: those that know both."""
    unknown = np.isnan(allocated[chosen]) | np.isnan(amount[chosen])
    return {
        hours_key: _sum(np.where(unknown, np.nan, allocated[chosen]), hours),
        amount_key: None if stretch.price is None else _sum(np.where(unknown, np.nan, amount[chosen])),
    }


def iso(time_s: float) -> str:
    """A moment as date and time of UTC."""
    return datetime.fromtimestamp(float(time_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sum(values: NDArray[np.float64], factor: float = 1.0) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.sum() * factor) if len(known) else None


def _minutes(chosen: NDArray[np.bool_], period: Period) -> float:
    return int(np.count_nonzero(chosen)) * period.slot_s / 60.0


def ledger_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The ledger."""
    return Table(
        name="ledger", title="Ledger", columns=LINE, rows=rows_of(LINE, list(rows)),
        note="One line a service and stretch of one price. All other sums are sums of these lines.",
    )  # fmt: skip


def grouped(rows: Sequence[Mapping[str, Any]], key: str) -> Table:
    """Sums of the ledger by one of its names, the dearest first."""
    columns = (Column(key=key, title=next(each.title for each in NAMES if each.key == key)), *QUANTITIES, *MONEY,
               *SERVICE_LEVEL, *RATIOS)  # fmt: skip
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault(row[key], []).append(row)
    sums = [{key: name, **summed(kept)} for name, kept in parts.items()]
    sums.sort(key=lambda row: (-(row["allocated_cost"] or 0.0), -(row["allocated_gpu_h"] or 0.0), str(row[key])))
    return Table(
        name=f"by_{key}", title=GROUPINGS[key], columns=columns, rows=rows_of(columns, sums), note=_unpriced(rows)
    )


def _unpriced(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is in the GPU-hours and not in the costs."""
    without = sum(row["allocated_gpu_h"] or 0.0 for row in rows if row["allocated_cost"] is None)
    names = dict.fromkeys(row["service"] for row in rows if row["allocated_cost"] is None and row["allocated_gpu_h"])
    if not names:
        return ""
    told = ", ".join(list(names)[:5]) + (" …" if len(names) > 5 else "")
    return f"Costs are without the {without:,.1f} GPU-hours that have no price: {told}."
