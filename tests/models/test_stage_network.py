"""Which stages a request visits, how often, and how its latency comes about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.fork_join import Sampling, pass_through
from models.stage_network import Stage, StageNetwork


def network(*stages: Stage) -> StageNetwork:
    return StageNetwork(stages=stages)


LOOKUP, MISS = Stage(), Stage(after=(0,), probability=0.3)


def test_what_follows_a_skipped_stage_alone_is_skipped_with_it():
    found = network(LOOKUP, MISS, Stage(after=(1,), probability=0.5), Stage(after=(0, 2)))
    np.testing.assert_allclose(found.visit_ratios, [1.0, 0.3, 0.15, 1.0])


def test_one_of_two_runs_in_place_of_the_other():
    found = network(LOOKUP, MISS, Stage(after=(0,), unless=1), Stage(after=(1, 2)))
    np.testing.assert_allclose(found.visit_ratios, [1.0, 0.3, 0.7, 1.0])
    visited = Sampling.of(found).visited
    assert np.all(visited[1] ^ visited[2])
    assert visited[1].mean() == pytest.approx(0.3, abs=1e-3)


def test_a_stage_comes_after_stages_before_it_only():
    with pytest.raises(InvalidInput, match="not before it"):
        network(Stage(after=(0,)))
    with pytest.raises(InvalidInput, match="probability"):
        network(Stage(probability=0.0))


def test_what_a_stage_waits_for():
    found = network(Stage(), Stage(after=(0,)), Stage(after=(0,)), Stage(after=(1,)))
    assert found.before(3).tolist() == [True, True, False, True]


@st.composite
def networks(draw: st.DrawFn) -> StageNetwork:
    stages = []
    for place in range(draw(st.integers(1, 6))):
        after = draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set()
        chance = draw(st.sampled_from([1.0, 1.0, 0.5]))
        stages.append(Stage(after=tuple(sorted(after)), probability=chance))
    return StageNetwork(stages=tuple(stages))


@given(networks(), st.integers(0, 1000))
def test_latency_is_that_of_the_longest_path_of_visited_stages(found: StageNetwork, seed: int):
    rng = np.random.default_rng(seed)
    latencies = rng.exponential(1.0, (len(found.stages), 20))
    visited = found.visited(rng.random(latencies.shape))
    passage = pass_through(found, visited, latencies)

    def longest(place: int, request: int) -> float:
        before = (longest(each, request) for each in found.stages[place].after if visited[each, request])
        return float(latencies[place, request]) + max(before, default=0.0)

    expected = [
        max((longest(place, request) for place in range(len(found.stages)) if visited[place, request]), default=0.0)
        for request in range(20)
    ]
    np.testing.assert_allclose(passage.end_to_end, expected)
    everyone = np.ones(20, dtype=bool)
    assert passage.critical_s(everyone).sum() == pytest.approx(np.mean(expected))


def test_the_slower_of_two_branches_and_a_stage_that_both_share():
    found = network(Stage(), Stage(after=(0,)), Stage(after=(0,)), Stage(after=(1, 2)))
    sampling = Sampling.of(found)
    passage = pass_through(found, sampling.visited, -np.log1p(-sampling.shares))
    # E of a sum: 1 + E max of two exponentials (3/2) + 1.
    assert passage.end_to_end.mean() == pytest.approx(3.5, rel=0.01)


def test_the_last_of_some_stages_is_told_request_by_request():
    """Draft, then a refiner for some, beside a judge: what ends first tokens depends on who runs."""
    network = StageNetwork(
        stages=(
            Stage(),
            Stage(after=(0,)),
            Stage(after=(1,), probability=0.5),
            Stage(after=(2,), probability=0.5),
            Stage(after=(0,), probability=0.5),
        )
    )
    visited = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]], dtype=bool)
    last = network.last_of((1, 3, 4), visited)
    assert [np.flatnonzero(column).tolist() for column in last.T] == [[1], [1], [3], [3, 4]]
    leading = network.leading_to(last, visited)
    assert [np.flatnonzero(column).tolist() for column in leading.T] == [[0, 1], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_a_stage_in_the_place_of_another_begins_when_it_is_known_which_one_runs():
    """A cache is looked up (1 s), and at times in vain: the slow way begins then, though its input was there."""
    network = StageNetwork(stages=(Stage(), Stage(), Stage(after=(0,), probability=0.5), Stage(after=(1,), unless=2)))
    visited = np.array([[1, 1], [1, 1], [1, 0], [0, 1]], dtype=bool)
    passage = pass_through(network, visited, np.array([[1.0] * 2, [0.1] * 2, [0.2] * 2, [5.0] * 2]))
    assert passage.end_to_end.tolist() == [1.2, 6.0]
    assert passage.critical_s(np.array([False, True])).tolist() == [1.0, 0.0, 0.0, 5.0]
