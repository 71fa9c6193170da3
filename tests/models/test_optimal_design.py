"""Exact D-optimal designs: known ones found, no design of the same size better, required points kept."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.optimal_design import Candidates, best_design, worthwhile_design

WEAK = 1e-6


def candidates(rows, *, prior=WEAK, required=()):
    rows = np.asarray(rows, dtype=float)
    return Candidates(
        information=np.einsum("ni,nj->nij", rows, rows),
        prior=prior * np.eye(rows.shape[1]),
        required=tuple(map(frozenset, required)),
    )


def polynomial(degree, points=41):
    places = np.linspace(-1.0, 1.0, points)
    return places, np.stack([places**power for power in range(degree + 1)], axis=1)


def test_a_straight_line_is_measured_at_its_ends():
    places, rows = polynomial(1)
    assert places[list(best_design(candidates(rows), 2).chosen)].tolist() == [-1.0, 1.0]


def test_a_parabola_is_measured_at_its_ends_and_middle():
    places, rows = polynomial(2)
    assert places[list(best_design(candidates(rows), 3).chosen)].tolist() == [-1.0, 0.0, 1.0]


def test_a_cubic_is_measured_where_legendre_says():
    """Support of the D-optimal design: ±1 and the roots of P'_3, ±1/√5 ≈ ±0.447 (Guest 1958); the grid has ±0.45."""
    places, rows = polynomial(3)
    assert places[list(best_design(candidates(rows), 4).chosen)] == pytest.approx([-1.0, -0.45, 0.45, 1.0])


def test_all_designs_enumerated_none_is_better():
    rows = np.random.default_rng(5).lognormal(size=(12, 3))
    problem = candidates(rows)
    best = max(problem.log_det(design) for design in itertools.combinations(range(12), 4))
    assert best_design(problem, 4).log_det == pytest.approx(best, abs=1e-9)


SHAPES = st.tuples(st.integers(6, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))


@given(shape=SHAPES, share=st.floats(0.0, 1.0))
@settings(max_examples=40)
def test_never_worse_than_even_or_random_designs(shape, share):
    count, terms, seed = shape
    chance = np.random.default_rng(seed)
    problem = candidates(chance.normal(size=(count, terms)) * chance.lognormal(size=(count, 1)), prior=1.0)
    size = min(count, 1 + int(share * 9))
    design = best_design(problem, size)
    assert len(set(design.chosen)) == size
    assert design.log_det == pytest.approx(problem.log_det(design.chosen))
    even = np.linspace(0, count - 1, size).round().astype(int)
    others = [even, *(chance.permutation(count)[:size] for _ in range(50))]
    assert all(design.log_det >= problem.log_det(other) - 1e-9 for other in others if len(set(other)) == size)


@given(shape=SHAPES)
@settings(max_examples=25)
def test_no_single_exchange_improves_and_required_points_stay(shape):
    count, terms, seed = shape
    rows = np.random.default_rng(seed).normal(size=(count, terms))
    problem = candidates(rows, prior=1.0, required=[{0}, {1, 2}])
    design = best_design(problem, 4)
    assert 0 in design.chosen
    assert {1, 2} & set(design.chosen)
    for place, other in itertools.product(range(4), range(count)):
        swapped = [*design.chosen[:place], *design.chosen[place + 1 :], other]
        if len(set(swapped)) == 4 and 0 in swapped and {1, 2} & set(swapped):
            assert problem.log_det(swapped) <= design.log_det + 1e-6


def test_points_that_tell_nothing_new_are_not_worth_it():
    """Two directions, measured in turn: points 3 and 4 add √2 − 1 = 41 % each, 5 and 6 22 %, 7 and 8 15 %, 9 12 %."""
    rows = np.tile(np.eye(2), (10, 1))
    sizes = [len(worthwhile_design(candidates(rows), least=2, most=20, gain=gain).chosen) for gain in (0.3, 0.2, 0.13)]
    assert sizes == [4, 6, 8]


def test_the_number_of_points_keeps_within_its_bounds():
    _, rows = polynomial(2)
    assert len(worthwhile_design(candidates(rows), least=5, most=9, gain=0.99).chosen) == 5
    assert len(worthwhile_design(candidates(rows), least=3, most=9, gain=0.001).chosen) == 9


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda rows: candidates(rows, prior=0.0), "positive definite"),
        (lambda rows: candidates(rows, required=[{99}]), "names no candidate"),
        (lambda rows: candidates(rows, required=[set()]), "names no candidate"),
        (lambda rows: candidates(rows, required=[{1, 2}, {2}]), "disjoint"),
        (lambda rows: candidates(rows * np.nan), "finite"),
        (lambda rows: best_design(candidates(rows), 0), "a design of 0"),
        (lambda rows: best_design(candidates(rows), 42), "a design of 42"),
        (lambda rows: best_design(candidates(rows, required=[{1}, {2}]), 1), "2 required"),
        (lambda rows: worthwhile_design(candidates(rows), least=3, most=9, gain=0.0), "between 0 and 1"),
    ],
)
def test_what_makes_no_design_is_refused(make, said):
    with pytest.raises(InvalidInput, match=said):
        make(polynomial(1)[1])
