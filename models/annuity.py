"""What owning a thing costs a year: its price, spread over its life with the cost of the money in it."""

from __future__ import annotations

import math

from models.errors import InvalidInput


def yearly_capital_cost(price: float, *, residual: float, years: float, cost_of_capital: float) -> float:
    """The equal payment at the end of each year of life whose present value is that of buying now and selling then.

    Exact: (price − residual) · i / (1 − (1 + i)^−n) + residual · i, and (price − residual) / n where i is 0.
    This is the capital recovery cost with salvage value, CR(i) = (I − S)(A/P, i, N) + iS: C. S. Park, Contemporary
    Engineering Economics, chapter on annual equivalent worth; the annuity factor is in Brealey, Myers and Allen,
    Principles of Corporate Finance, chapter 2. `residual` is what it sells for at the end, `cost_of_capital` a fraction
    of a year. Raises InvalidInput.
    """
    sound = (
        all(map(math.isfinite, (price, residual, years, cost_of_capital)))
        and price >= 0.0
        and 0.0 <= residual <= price
        and years > 0.0
        and cost_of_capital >= 0.0
    )
    if not sound:
        raise InvalidInput(
            f"no annuity of price {price:g}, residual {residual:g}, {years:g} years and {cost_of_capital:g} a year",
            remedy="a price of at least 0, a residual between 0 and it, more than 0 years, a rate of at least 0",
        )
    if cost_of_capital == 0.0:
        return (price - residual) / years
    factor = cost_of_capital / -math.expm1(-years * math.log1p(cost_of_capital))
    return (price - residual) * factor + residual * cost_of_capital
