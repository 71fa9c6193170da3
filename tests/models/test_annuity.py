"""What owning costs a year: a textbook's figure, and the law that the payments are worth the price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.annuity import yearly_capital_cost
from models.errors import InvalidInput


def test_by_hand():
    # 35,000 over 4 years at 8 %: factor 0.08 / (1 − 1.08^−4) = 0.301920804; 10 % is sold for 3,500.
    assert yearly_capital_cost(35_000, residual=3_500, years=4, cost_of_capital=0.08) == pytest.approx(
        31_500 * 0.301920804 + 280, abs=1e-3
    )
    assert yearly_capital_cost(40_000, residual=4_000, years=4, cost_of_capital=0.0) == 9_000


@given(st.floats(0, 1e6), st.floats(0, 1), st.integers(1, 20), st.floats(1e-6, 0.5))
def test_the_payments_and_the_residual_are_worth_the_price(price, share, years, rate):
    payment = yearly_capital_cost(price, residual=price * share, years=years, cost_of_capital=rate)
    worth = sum(payment / (1 + rate) ** year for year in range(1, years + 1)) + price * share / (1 + rate) ** years
    assert worth == pytest.approx(price, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("price", "other"), [(-1.0, {}), (1.0, {"residual": 2.0}), (1.0, {"years": 0.0}), (float("nan"), {})]
)
def test_what_means_nothing_is_refused(price, other):
    with pytest.raises(InvalidInput, match="no annuity"):
        yearly_capital_cost(price, **{"residual": 0.0, "years": 1.0, "cost_of_capital": 0.1, **other})
