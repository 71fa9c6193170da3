"""The commitments of least cost where terms overlap, by a linear programme.

With terms that neither are one stretch of time nor last to the end of the horizon what is cheapest need not lie in
layers: of two GPUs for two years each, one from the first and one from the second year on, the second becomes the
first. Unknown are the GPUs of each contract and which GPUs are left uncovered in each stretch: those least in use, as
cost is convex. A contract covers stretches that follow one another, so the matrix is an interval matrix, totally
unimodular, and the corners of the programme are whole numbers (Fulkerson & Gross 1965, Pacific Journal of Mathematics
15, 835-855).

Thousands of GPUs are taken in groups at first, which are split about the numbers that come out until those lie between
single GPUs. What a stretch costs is then exact on either side of the solution, and nowhere too low: as it is convex,
the solution is the best of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.purchase_offers import ReservedOffer
from models.purchase_plans import Contract
from models.purchase_times import Timeline

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

_EXACT = {"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-9}
FEW = 32
"""Groups of GPUs to begin with."""


def programmed(
    offers: Sequence[ReservedOffer], values: Array, time: Timeline, *, first: int, tie: float
) -> Counter[Contract]:
    """How many GPUs of each contract, from what the first, second … GPU spares in each stretch (a row a stretch).

    A contract must spare more than `tie`, so that of equal mixes the one with the fewest contracts is taken.
    """
    stretches, most = values.shape
    contracts = [(offer, begin) for offer in offers for begin in range(first, stretches)]
    terms = [time.covered(*contract) for contract in contracts]
    covers = np.array([[stretch in term for term in terms] for stretch in range(stretches)], dtype=float)
    costs = [
        offer.price_per_gpu_hour * time.lasts(term) + tie for (offer, _), term in zip(contracts, terms, strict=True)
    ]
    sums = np.hstack([np.zeros((stretches, 1)), np.cumsum(values, axis=1)])
    marks = [np.unique(np.linspace(0, most, FEW + 1).astype(int))] * stretches
    while True:
        numbers = _solved(np.array(costs), covers, sums, marks)
        held = np.minimum(covers @ numbers, most).astype(int)
        finer = [_finer(each, int(covered), most) for each, covered in zip(marks, held, strict=True)]
        if all(after is before for after, before in zip(finer, marks, strict=True)):
            return +Counter(dict(zip(contracts, numbers.tolist(), strict=True)))
        marks = finer


def _finer(marks: Whole, held: int, most: int) -> Whole:
    """Bounds of groups with single GPUs on either side of a number; the same where they are there already."""
    near = np.clip([held - 1, held, held + 1], 0, most)
    if np.isin(near, marks).all():
        return marks
    below, above = marks[marks < held].max(initial=0), marks[marks > held].min(initial=most)
    return np.unique(np.concatenate([marks, near, [(below + held) // 2, (held + above) // 2]]))


def _solved(costs: Array, covers: Array, sums: Array, marks: Sequence[Whole]) -> Whole:
    """The numbers of each contract where GPUs are left uncovered by groups: `marks` are the bounds in each stretch."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    stretches, most = len(marks), sums.shape[1] - 1
    gpus = [np.diff(each) for each in marks]
    spared = [np.diff(row[each]) / count for row, each, count in zip(sums, marks, gpus, strict=True)]
    place = np.repeat(np.arange(stretches), [each.size for each in gpus])
    uncovered = csr_array((np.ones(place.size), (place, np.arange(place.size))), shape=(stretches, place.size))
    objective = np.concatenate([costs, *spared])
    bounds = np.concatenate([np.full(costs.size, most), *gpus])
    found = linprog(
        objective / objective.max(),
        A_ub=-hstack([csr_array(covers), uncovered], format="csr"),
        b_ub=np.full(stretches, -float(most)),
        bounds=np.column_stack([np.zeros(bounds.size), bounds]),
        method="highs-ds",
        options=_EXACT,
    )
    numbers: Whole = np.rint(found.x[: costs.size]).astype(int)
    return numbers
