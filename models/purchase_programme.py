"""The commitments of least cost where terms overlap, by a linear programme.

With terms between one year and the whole horizon what is cheapest need not lie in layers: of two GPUs for two years
each, one from the first and one from the second year on, the second becomes the first. Unknown are the GPUs of each
contract and which GPUs are left uncovered in each year: those least in use, as cost is convex. A contract covers years
that follow one another, so the matrix is an interval matrix, totally unimodular, and the corners of the programme are
whole numbers (Fulkerson & Gross 1965, Pacific Journal of Mathematics 15, 835-855).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.purchase_offers import ReservedOffer, covered_years
from models.purchase_plans import Contract

Array = NDArray[np.float64]


def programmed(offers: Sequence[ReservedOffer], values: Array, *, first: int) -> Counter[Contract]:
    """How many GPUs of each contract, from what the first, second … GPU spares in each year (a row a year)."""
    from scipy.optimize import linprog

    years, most = values.shape
    contracts = [(o, begin) for o in offers for begin in range(first, years - covered_years(o) + 1)]
    covers = np.array([[begin <= y < begin + covered_years(o) for o, begin in contracts] for y in range(years)])
    spared, gpus = zip(*(np.unique(row, return_counts=True) for row in values), strict=True)
    uncovered = np.repeat(np.eye(years), [row.size for row in spared], axis=1)
    found = linprog(
        [*(o.price_per_gpu_hour * covered_years(o) for o, _ in contracts), *np.concatenate(spared)],
        A_ub=-np.hstack([covers.astype(float), uncovered]),
        b_ub=np.full(years, -float(most)),
        bounds=[*((0.0, most) for _ in contracts), *((0.0, count) for count in np.concatenate(gpus))],
        method="highs-ds",
    )
    counts = np.rint(found.x[: len(contracts)]).astype(int)
    return +Counter(dict(zip(contracts, counts.tolist(), strict=True)))
