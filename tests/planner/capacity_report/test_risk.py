"""Money against risk, in a pool with commitments."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from planner.capacity_report.pools import pools_of
from planner.capacity_report.risk_table import risk_table
from planner.capacity_report.service_record import record
from tests.planner.capacity_report.committed_fleet import commitment
from tests.planner.capacity_report.counter_service import counter
from tests.planner.capacity_report.test_figures import FEBRUARY, history

RATES = np.where(np.arange(FEBRUARY.slots) % 24 < 18, 4.0, 14.0)
"""Two GPUs are needed, and six for a quarter of the time."""


def risk(*commitments, price: float = 3.0, worth: float = 0.01) -> dict[int, dict]:
    pools = pools_of([record(counter(), history(RATES, 3.0), FEBRUARY)], covered=FEBRUARY.slots)
    table = risk_table(
        pools, FEBRUARY, lambda *_: np.full(FEBRUARY.slots, price), commitments=commitments, breach_minute_cost=worth
    )
    return {int(row["gpus"]): dict(row) for row in table.rows}


def chosen(rows: dict[int, dict]) -> list[int]:
    return [gpus for gpus, row in rows.items() if row["chosen"]]


def test_what_is_committed_is_held_as_it_is_paid_anyway():
    assert chosen(risk()) == [0]
    rows = risk(commitment(6))
    assert chosen(rows) == [6]
    assert rows[2]["cost"] == rows[6]["cost"] == pytest.approx(6 * 672 * 1.0)


def test_gpus_beyond_the_commitment_have_the_pool_s_price():
    rows = risk(commitment(4, 0.5))
    assert rows[6]["cost"] == pytest.approx((4 * 0.5 + 2 * 3.0) * 672)
    assert rows[2]["cost"] == pytest.approx(4 * 0.5 * 672)


def test_a_commitment_without_a_price_is_sunk_and_one_that_ends_is_paid_until_then():
    assert risk(commitment(4, None))[6]["cost"] == pytest.approx(2 * 3.0 * 672)
    assert risk(commitment(4, 1.0, until=date(2027, 2, 15)))[6]["cost"] == pytest.approx(
        (4 * 1.0 + 2 * 3.0) * 336 + 6 * 3.0 * 336
    )


def test_what_costs_nothing_beside_the_commitment_is_known_without_the_pool_s_price():
    rows = risk(commitment(4), price=np.nan)
    assert rows[2]["cost"] == pytest.approx(4 * 672)
    assert rows[6]["cost"] is None
