"""The Pareto front: no member is dominated, everyone else is."""

from hypothesis import given
from hypothesis import strategies as st

from planner.pareto import dominates, front

points = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12)


@given(points)
def test_no_member_is_dominated_and_every_other_is_dominated_by_a_member(found):
    on = front(found)
    members = [point for point, is_on in zip(found, on, strict=True) if is_on]
    for point, is_on in zip(found, on, strict=True):
        assert is_on is not any(dominates(member, point) for member in members)
    assert bool(members) is bool(found)


def test_a_front_of_four_by_hand():
    assert front([(1.0, 5.0), (2.0, 3.0), (3.0, 3.0), (4.0, 1.0)]) == [True, True, False, True]
    assert front([(1.0, 1.0), (1.0, 1.0)]) == [True, True], "equals do not dominate each other"
