"""Windows and policies as autoscaling/v2 has them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.capacity_policy import ScalingRules
from controller.memory import Change, Sample
from controller.stabilization import paced, stabilized


def rules(*policies: tuple[str, int, int], window_s: int = 0, select: str = "Max") -> ScalingRules:
    return ScalingRules.model_validate(
        {
            "stabilizationWindowSeconds": window_s,
            "selectPolicy": select,
            "policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies],
        }
    )


ONE = rules(("Pods", 1, 60))
DOUBLE = rules(("Percent", 100, 60))


@pytest.mark.parametrize(
    ("current", "wanted", "up", "expected"),
    [
        (3, 20, DOUBLE, 6),
        (0, 20, DOUBLE, 2),  # of nothing twice as much is two of one
        (3, 20, rules(("Percent", 100, 60), ("Pods", 8, 60)), 11),
        (3, 20, rules(("Percent", 100, 60), ("Pods", 8, 60), select="Min"), 6),
        (3, 20, rules(("Pods", 8, 60), select="Disabled"), 3),
        (3, 4, DOUBLE, 4),
    ],
)
def test_up(current: int, wanted: int, up: ScalingRules, expected: int):
    assert paced(current, wanted, (), up=up, down=ONE, now_s=0.0) == expected


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        (ONE, 9),
        (rules(("Percent", 25, 60)), 7),
        (rules(("Percent", 25, 60), ("Pods", 1, 60), select="Min"), 9),
        (rules(("Pods", 4, 60), select="Disabled"), 10),
    ],
)
def test_down(down: ScalingRules, expected: int):
    assert paced(10, 1, (), up=DOUBLE, down=down, now_s=0.0) == expected


def test_what_was_moved_within_the_period_counts():
    moved = (Change(at_s=0.0, before=10, after=9),)
    assert paced(9, 1, moved, up=DOUBLE, down=ONE, now_s=59.0) == 9
    assert paced(9, 1, moved, up=DOUBLE, down=ONE, now_s=61.0) == 8
    grown = (Change(at_s=0.0, before=4, after=8),)
    assert paced(8, 99, grown, up=DOUBLE, down=ONE, now_s=59.0) == 8
    assert paced(8, 99, grown, up=DOUBLE, down=ONE, now_s=61.0) == 16


@given(
    current=st.integers(0, 200),
    needed=st.integers(0, 200),
    seen=st.lists(st.tuples(st.floats(0.0, 1000.0), st.integers(0, 200)), max_size=20),
    window=st.integers(0, 900),
)
def test_nothing_shrinks_below_what_any_moment_of_the_window_needed(current: int, needed: int, seen: Any, window: int):
    samples = [Sample(at_s=at, value=value) for at, value in sorted(seen)]
    found = stabilized(current, needed, samples, up=DOUBLE, down=rules(("Pods", 1, 60), window_s=window), now_s=1000.0)
    recent = [int(each.value) for each in samples if each.at_s > 1000.0 - window]
    assert min(current, needed) <= found <= max([current, needed])
    if found < current:
        assert found >= max([needed, *recent])


def test_what_was_added_allows_no_more_to_be_removed():
    grown = (Change(at_s=0.0, before=4, after=5),)
    assert paced(5, 1, grown, up=DOUBLE, down=ONE, now_s=1.0) == 4
