"""Replicas of many rates at once are those of `planner size`, rate by rate."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import NoFeasiblePlan
from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals
from planner.capacity_curve import capacity_curve
from planner.objective import parse_objectives
from planner.profile import load_profile
from planner.service import Service

RATES = np.array([0.0, 0.4, 9.0, 30.0, 47.0, 80.0, 200.0, 411.0])


def service(routing: Routing = Routing.RANDOM, burstiness: float = 1.0) -> Service:
    return Service(
        profile=load_profile("llama-3.1-8b-a100-vllm"),
        arrivals=OpenArrivals(rate_per_s=1.0, burstiness=burstiness),
        lengths=TokenLengths.of(512, 128, output_cv=1.0),
        routing=routing,
    )


@pytest.mark.parametrize(
    ("routing", "burstiness"), [(Routing.RANDOM, 1.0), (Routing.LEAST_OUTSTANDING, 1.0), (Routing.ROUND_ROBIN, 4.0)]
)
def test_the_curve_gives_the_replicas_of_planner_size(routing, burstiness):
    objectives = parse_objectives(("ttft:p99<=400ms", "itl:p95<=60ms"))
    asked = service(routing, burstiness)
    curve = capacity_curve(asked, objectives, highest_per_s=float(RATES.max()))
    sized = [0, *(asked.at_rate(rate).size(objectives).replicas for rate in RATES[1:])]
    # A rate within 0.2 % of what a count carries may go either way.
    near = np.abs(RATES[:, None] / curve.rates_per_s[None, :] - 1.0).min(axis=1) < 0.004
    assert np.all((curve.replicas(RATES) == sized) | near)
    assert np.count_nonzero(near) <= 1


def test_work_parts_and_replicas_are_in_order_and_unknown_rates_stay_unknown():
    curve = capacity_curve(service(), parse_objectives(("ttft:p99<=400ms",)), highest_per_s=90.0)
    rates = np.linspace(0.0, 500.0, 301)
    work, parts, replicas = curve.work(rates), curve.parts(rates), curve.replicas(rates)
    assert np.all(work <= parts + 1e-9)
    assert np.all(parts <= replicas + 1e-9)
    assert np.all(np.diff(replicas) >= 0.0)
    assert np.all(replicas - parts < 1.0 + 1e-9)
    assert np.isnan(curve.replicas(np.array([np.nan]))).all()


def test_what_nothing_meets_is_told():
    with pytest.raises(NoFeasiblePlan, match="ttft:p99<=1ms"):
        capacity_curve(service(), parse_objectives(("ttft:p99<=1ms",)), highest_per_s=10.0)
