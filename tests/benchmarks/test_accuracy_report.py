"""The accuracy report says next to each goal whether it is met, and on which side counts miss, whatever the numbers."""

import pytest

from benchmarks.accuracy_cases import case
from benchmarks.accuracy_report import Run, report
from benchmarks.accuracy_score import Count, Score

CASE = case(0, 1)


def reported(errors, counts) -> list[str]:
    run = Run(
        cases=1,
        requests=1000,
        seed=1,
        unstable=0,
        capacities=[1.0],
        scores=[
            Score(
                case=CASE,
                metric="ttft",
                quantile=0.5,
                predicted_s=1.0 + error,
                simulated_s=1.0,
                bottleneck="compute",
                reason="the model itself",
            )
            for error in errors
        ],
        counts=[
            Count(case=CASE, tight=tight, predicted=predicted, simulated=simulated)
            for tight in (False, True)
            for predicted, simulated in counts
        ],
    )
    return report(run).splitlines()


def test_goals_that_are_met():
    lines = reported([0.01] * 10, [(2, 2)] * 99 + [(1, 2)])
    assert "| median of all errors at most 3% | 1.0 % | met |" in lines
    assert "| 90th percentile of all errors at most 8% | 1.0 % | met |" in lines
    assert lines.count("| equal in at least 95% | 99% | met |") == 2
    assert lines.count("| never below by more than one | below by 1 at most | met |") == 2


def test_goals_that_are_not_met():
    lines = reported([0.01] * 8 + [0.2] * 2, [(2, 2), (None, 2), (1, 3)])
    assert "| median of all errors at most 3% | 1.0 % | met |" in lines
    assert "| 90th percentile of all errors at most 8% | 20.0 % | **not met** |" in lines
    assert lines.count("| equal in at least 95% | 33% | **not met** |") == 2
    assert lines.count("| never below by more than one | below by 2 at most | **not met** |") == 2


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([(3, 2), (3, 2), (1, 2)], "too few 1, too many 2: more miss on the safe side."),
        ([(3, 2), (1, 2), (1, 2)], "too few 2, too many 1: more miss on the unsafe side."),
        ([(3, 2), (1, 2), (9, 9)], "too few 1, too many 1: as many miss on the safe side as on the other."),
    ],
)
def test_the_side_on_which_counts_miss_is_counted(counts, said):
    assert said in reported([0.01], counts)
