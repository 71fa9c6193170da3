"""A pool with commitments: services that hold so many GPUs, and GPUs that are bought already."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from planner.capacity_report.assembled import Material, capacity_report
from planner.capacity_report.commitments import Commitment
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import ServiceRecord, record
from tests.planner.capacity_report.counter_service import counter
from tests.planner.capacity_report.test_figures import FEBRUARY, history, priced

POOL = counter().pool
HOURS = FEBRUARY.hours


def held(gpus, *, name: str = "a", period: Period = FEBRUARY, **fields) -> ServiceRecord:
    """A service that holds GPUs (replicas have two each)."""
    return record(counter(name, **fields), history(1.0, np.ones(period.slots) * gpus / 2.0, period=period), period)


def commitment(
    gpus: int,
    price: float | None = 1.0,
    *,
    at: int = 1,
    until: date = date(2028, 1, 1),
    period: Period = FEBRUARY,
    **fields,
) -> Commitment:
    """Of the pool, at one price."""
    cluster, gpu = POOL
    name = f"{cluster}/{gpu} commitment {at}"
    until_s = datetime(until.year, until.month, until.day, tzinfo=ZoneInfo(period.time_zone)).timestamp()
    line = PriceLine(
        key=name, cluster=cluster, gpu=gpu, start_s=period.start_s, end_s=min(until_s, period.end_s),
        list_price=price, discount=0.0, pricing="reserved", told="a contract", commitment=name, **fields,
    )  # fmt: skip
    return Commitment(name=name, cluster=cluster, gpu=gpu, gpus=gpus, until=until, until_s=until_s, lines=(line,))


def reported(
    records, commitments, *, amount: float | None = 3.0, prices=None, period: Period = FEBRUARY
) -> CapacityReport:
    return capacity_report(
        Material(
            period=period, covered=period.slots, records=records,
            prices=priced(records, amount, period) if prices is None else prices,
            commitments=commitments, currency="USD", made_on=date(2027, 3, 1),
        )
    )  # fmt: skip


def mixed_report(*, committed: float = 1.0, beside: float = 3.0) -> CapacityReport:
    """Two teams hold more than is committed for 100 hours, and less for the rest; one has a price of its own."""
    gpus = np.where(np.arange(FEBRUARY.slots) < 100, 10.0, 2.0)
    records = [held(gpus), held(2.0, name="b", team="b")]
    prices = priced(records, beside, FEBRUARY)
    prices["b"] = tuple(replace(line, key=f"{line.key} for b", discount=0.5) for line in prices["b"])
    made = [commitment(6, committed), commitment(2, 0.5, at=2, until=date(2027, 2, 20))]
    return reported(records, made, prices=prices)
