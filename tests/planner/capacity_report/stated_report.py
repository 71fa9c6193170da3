"""A report whose figures are stated, not modelled: what tests of formats write, and read back."""

from __future__ import annotations

from datetime import date, timedelta

from planner.capacity_report.assumptions import Assumption, assumptions_table
from planner.capacity_report.checks import checks_table
from planner.capacity_report.days import _COLUMNS as DAYS
from planner.capacity_report.document import CapacityReport, Kind, Table, rows_of
from planner.capacity_report.holes import Hole, holes_table
from planner.capacity_report.ledger import GROUPINGS, grouped, ledger_table
from planner.capacity_report.measures import priced, summed, with_ratios
from planner.capacity_report.period import parse_period
from planner.capacity_report.price_list import PriceLine, prices_table

FORMULA = "=cmd|' /C calc'!A0"
SCRIPT = "<script>alert(1)</script>"
TURNED = "\u202egnp.exe | `x` **y** \"z\" 'w'"
"""Names that a spreadsheet, a browser, or a reader's eyes would fall for."""
FEBRUARY = parse_period("2028-02")
LIST_PRICE, DISCOUNT = 4.9, 0.3
PRICE = LIST_PRICE * (1.0 - DISCOUNT)
PARTS = (100.5, 20.25, 30.0, 0.0, 1.0 / 3.0, 12.0)
"""GPU-hours: work, then each cause of idle time, in order."""


def line(service: str, *, team: str, gpu: str = "A100-SXM4-80GB", share: float = 1.0, price: float | None = PRICE):
    """A line of the ledger: `share` times the stated GPU-hours, with the sums that must come out of them."""
    used, *idle = (share * each for each in PARTS)
    names = ("burst_headroom", "fragmentation", "minimum", "stabilisation", "over_provisioned")
    row = {
        "service": service, "team": team, "model": "meta-llama/Llama-3.1-8B-Instruct", "environment": "prod",
        "cluster": "eu-1", "gpu": gpu, "price_key": f"eu-1/{gpu}", "start": "2028-02-01T00:00:00Z",
        "end": "2028-03-01T00:00:00Z", "hours": 696.0, "demand_unknown_h": 24.0, "replicas_unknown_h": 0.0,
        "requests": 1234567.0 * share, "input_tokens": 512.0 * 1234567.0 * share,
        "output_tokens": 128.0 * 1234567.0 * share, "used_gpu_h": used, "needed_gpu_h": used + sum(idle[:2]),
        "allocated_gpu_h": used + sum(idle) + 7.0, "idle_gpu_h": sum(idle),
        **{f"{name}_gpu_h": each for name, each in zip(names, idle, strict=True)},
        "request_gpu_h": used + sum(idle), "costed_requests": None if price is None else 1234567.0 * share,
        "token_gpu_h": used + sum(idle), "costed_tokens": None if price is None else 640.0 * 1234567.0 * share,
        "unexplained_gpu_h": 7.0, "shortfall_gpu_h": 0.5, "price": price, "breach_minutes": 60.0,
        "judged_minutes": 40320.0,
    }  # fmt: skip
    return with_ratios(priced(row, price))


def days(count: int = 29) -> Table:
    """The third day is short, the fifth lacks data of one service."""
    rows = [
        {
            "day": date(2028, 2, 1) + timedelta(days=index), "hours": 24.0, "requests": 85_142.0 + index,
            "used_gpu_h": 7.0 + 0.1 * index, "needed_gpu_h": 10.0 + (index == 2) * 4.0, "allocated_gpu_h": 12.0,
            "shortfall_gpu_h": 2.0 if index == 2 else 0.0, "unknown_service_h": 24.0 if index == 4 else 0.0,
        }
        for index in range(count)
    ]  # fmt: skip
    return Table(name="days", title="Day by day", columns=DAYS, rows=rows_of(DAYS, rows))


def stated_report(**changes) -> CapacityReport:
    """Three services; one has no price, and names attack. Every figure is written above."""
    ledger = [
        line("chat", team="assistants", share=3.0),
        line(FORMULA, team=SCRIPT),
        line("research", team=TURNED, gpu="H100-SXM5-80GB", share=0.1, price=None),
    ]
    sums = [grouped(ledger, key) for key in GROUPINGS]
    prices = {
        row["service"]: (
            PriceLine(
                key=row["price_key"], cluster="eu-1", gpu=row["gpu"], start_s=FEBRUARY.start_s, end_s=FEBRUARY.end_s,
                list_price=None if row["price"] is None else LIST_PRICE, discount=DISCOUNT, pricing="on_demand",
                told="stated by the test",
            ),
        )
        for row in ledger
    }  # fmt: skip
    whole = summed(ledger)
    fields = {
        "title": "GPU capacity, 2028-02", "period": "2028-02", "start": "2028-02-01T00:00:00Z",
        "end": "2028-03-01T00:00:00Z", "time_zone": "UTC", "hours": 696.0, "covered_hours": 600.0, "currency": "EUR",
        "made_on": date(2028, 2, 26), "version": "1.2.3",
        "headline": (
            {"label": "Cost", "value": whole["allocated_cost"], "kind": Kind.MONEY.value, "note": "hours × price"},
            {"label": "SLO attainment", "value": whole["attainment"], "kind": Kind.SHARE.value, "note": ""},
            {"label": "Requests ahead", "value": None, "kind": Kind.COUNT.value, "note": "nobody knows"},
        ),
        "tables": (
            *sums, days(), ledger_table(ledger), prices_table(prices),
            assumptions_table([Assumption(topic="method", text="Stated & written <by hand>", date="2028-02-26")]),
            holes_table([Hole(subject="research", what="price", text="no price for its GPU")]),
            checks_table(ledger, sums),
        ),
    }  # fmt: skip
    return CapacityReport(**{**fields, **changes})
