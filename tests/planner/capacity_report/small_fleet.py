"""A small fleet with a stated history: what tests of formats and sums report on."""

from __future__ import annotations

from datetime import date

import numpy as np

from planner.capacity_report.assembled import Material, capacity_report
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.history import History
from planner.capacity_report.period import Period, parse_period
from planner.capacity_report.price_list import PriceLine
from planner.capacity_report.service_record import Accounted, ServiceRecord, record
from planner.fleet_file import WorkloadFields
from planner.objective import parse_objectives
from planner.profile import load_profile

PROFILES = ("llama-3.1-8b-a100-vllm", "qwen3-32b-h100-vllm-tp4")
OCTOBER = parse_period("2026-10", time_zone="Europe/Berlin")


def accounted(name: str = "chat", *, profile: str = PROFILES[0], slo: str = "ttft:p99<=500ms", **fields) -> Accounted:
    """A service of 512 prompt and 128 output tokens."""
    base = {"inputTokens": 512, "outputTokens": 128, "team": "assistants", "environment": "prod", "cluster": "eu-1"}
    workload = WorkloadFields.model_validate({"name": name, **base, **fields})
    return Accounted(fields=workload, profile=load_profile(profile), objectives=tuple(parse_objectives((slo,))))


def history(rate_per_s, replicas, *, period: Period = OCTOBER, met=None) -> History:
    """Of numbers, or arrays of one a slot."""
    full = np.ones(period.slots)
    requests = full * rate_per_s * period.slot_s
    return History(
        requests=requests,
        input_tokens=requests * 512.0,
        output_tokens=requests * 128.0,
        replicas=full * replicas,
        met=full * (np.nan if met is None else met),
        sources=("stated by the test, 2026-11-01",),
    )


def daily(low: float, high: float, period: Period = OCTOBER) -> np.ndarray:
    """A load that rises and falls once a day."""
    hours = np.arange(period.slots) * period.slot_s / 3600.0
    return low + (high - low) * (0.5 - 0.5 * np.cos(2.0 * np.pi * hours / 24.0))


def price(record_of: ServiceRecord, amount: float | None, period: Period = OCTOBER) -> tuple[PriceLine, ...]:
    """One price for the whole period."""
    cluster, gpu = record_of.accounted.pool
    return (
        PriceLine(
            key=f"{cluster}/{gpu}", cluster=cluster, gpu=gpu, start_s=period.start_s, end_s=period.end_s,
            list_price=amount, discount=0.0, pricing="on_demand", told="stated by the test",
        ),
    )  # fmt: skip


def small_report() -> CapacityReport:
    """Three services of two teams on two pools; one lacks a day of demand, one a name that a spreadsheet would run."""
    missing = daily(2.0, 8.0)
    missing[48:72] = np.nan
    records = [
        record(accounted("chat", minReplicas=2), history(daily(10.0, 120.0), 5.0), OCTOBER),
        record(accounted("=cmd|' /C calc'!A0", team="search"), history(missing, 2.0), OCTOBER),
        record(
            accounted("research", profile=PROFILES[1], slo="ttft:p99<=3s", team="search", cluster="us-1",
                      environment="dev"),
            history(daily(0.1, 1.5), 1.0), OCTOBER,
        ),
    ]  # fmt: skip
    return capacity_report(
        Material(
            period=OCTOBER,
            covered=OCTOBER.slots,
            records=records,
            prices={each.accounted.name: price(each, 3.43 if each.accounted.pool[0] == "eu-1" else 6.88)
                    for each in records},
            currency="EUR",
            made_on=date(2026, 11, 1),
        )
    )  # fmt: skip
