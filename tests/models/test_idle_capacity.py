"""Every GPU that was held is told of once, whatever was needed and whatever is not known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.idle_capacity import capacity_use

PARTS = ("used", "burst_headroom", "fragmentation", "minimum", "stabilisation", "over_provisioned", "unexplained")
gpus = st.floats(0.0, 100.0) | st.just(float("nan"))


@st.composite
def slots(draw):
    """Demand, parts and need in order, NaN in any of them, as where the objective cannot be met."""
    count = draw(st.integers(1, 6))
    work = np.array(draw(st.lists(gpus, min_size=count, max_size=count)))
    parts = work + np.array(draw(st.lists(gpus, min_size=count, max_size=count)))
    needed = parts + np.array(draw(st.lists(st.floats(0.0, 5.0), min_size=count, max_size=count)))
    allocated = np.array(draw(st.lists(gpus, min_size=count, max_size=count)))
    return {
        "work": work,
        "parts": parts,
        "needed": needed,
        "allocated": allocated,
        "floor": draw(st.floats(0.0, 20.0)),
        "held": np.array(draw(st.lists(st.floats(0.0, 120.0), min_size=count, max_size=count))),
    }


@given(slots())
def test_the_parts_add_up_to_what_was_allocated_and_none_is_negative(given_slots):
    use = capacity_use(**given_slots)
    known = ~np.isnan(given_slots["allocated"])
    total = sum(getattr(use, part) for part in PARTS)
    np.testing.assert_allclose(total[known], given_slots["allocated"][known], rtol=0, atol=1e-9)
    assert np.all(np.isnan(total[~known]))
    assert all(np.all(getattr(use, part)[known] >= -1e-12) for part in PARTS)


@given(slots())
def test_used_is_at_most_needed_which_is_at_most_allocated_where_the_objective_is_met(given_slots):
    use = capacity_use(**given_slots)
    met = use.shortfall == 0.0
    assert np.all(use.used[met] <= use.needed[met] + 1e-9)
    assert np.all(use.needed[met] <= use.allocated[met] + 1e-9)
    short = use.shortfall > 0.0
    np.testing.assert_allclose((use.shortfall + use.allocated)[short], use.needed[short])


@given(slots())
def test_without_demand_or_need_nothing_is_called_idle(given_slots):
    use = capacity_use(**given_slots)
    blind = ~np.isnan(given_slots["allocated"]) & np.isnan(given_slots["needed"])
    assert np.all(use.idle[blind] == 0.0)
    np.testing.assert_allclose((use.used + use.unexplained)[blind], given_slots["allocated"][blind])


def test_causes_in_their_order():
    use = capacity_use(
        work=np.array([1.2]), parts=np.array([1.6]), needed=np.array([2.0]), allocated=np.array([10.0]),
        floor=4.0, held=np.array([5.0]),
    )  # fmt: skip
    found = [round(float(getattr(use, part)[0]), 9) for part in PARTS]
    assert found == [1.2, 0.4, 0.4, 2.0, 1.0, 5.0, 0.0]
