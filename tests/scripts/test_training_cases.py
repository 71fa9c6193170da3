"""Drawn training questions: within the bounds that the script declares, and such that they can be asked."""

import pytest

from models.capacity import capacity
from models.workload import OpenArrivals
from scripts.fit_networks import CONTENTION_CASES, LAW_CASES
from scripts.training_cases import (
    FEWEST_HELD,
    MOST_SEQS,
    SCARCE_CONTENTION_SEED,
    TOO_LONG,
    WIDE_CONTENTION_SEED,
    WIDE_LAW_SEED,
    contention_case,
    training_case,
)

DRAWS = range(150)


def beyond_a_step(limits, lengths) -> float:
    return float(lengths.prompt.weights[lengths.prompt.values > limits.max_num_batched_tokens].sum())


@pytest.mark.parametrize("seed", LAW_CASES)
def test_questions_are_within_their_bounds(seed: int):
    drawn = [each for each in (training_case(number, seed) for number in DRAWS) if each.servable]
    assert len(drawn) > 0.9 * len(DRAWS)
    for each in drawn:
        limits, arrivals = each.engine.limits, each.workload.arrivals
        assert 1 <= each.replicas <= 64
        assert 16 <= limits.max_num_seqs <= min(MOST_SEQS, limits.max_num_batched_tokens)
        assert limits.chunked_prefill or beyond_a_step(limits, each.workload.lengths) <= TOO_LONG
        assert isinstance(arrivals, OpenArrivals)
        top = capacity(each.engine, each.workload.lengths, each.workload.prefix_hit_rate).requests_per_s
        assert 0.05 <= arrivals.rate_per_s / top / each.replicas <= 0.98
    assert {each.engine.limits.chunked_prefill for each in drawn} == {True, False}
    assert max(each.replicas for each in drawn) > 32
    assert (max(each.engine.limits.max_num_seqs for each in drawn) > 1500) is (seed == WIDE_LAW_SEED)


@pytest.mark.parametrize("seed", CONTENTION_CASES)
def test_saturated_engines_are_within_their_bounds(seed: int):
    drawn = [each for each in (contention_case(number, seed) for number in DRAWS) if each is not None]
    held = []
    for each in drawn:
        limits, lengths = each.engine.limits, each.lengths
        assert 16 <= limits.max_num_seqs <= min(MOST_SEQS, limits.max_num_batched_tokens)
        assert limits.chunked_prefill or beyond_a_step(limits, lengths) <= TOO_LONG
        assert limits.kv_cache_tokens is not None
        held.append(limits.kv_cache_tokens / (lengths.prompt.mean + lengths.output.mean))
    assert min(held) >= FEWEST_HELD * 0.99
    wide = seed in (WIDE_CONTENTION_SEED, SCARCE_CONTENTION_SEED)
    assert (max(each.engine.limits.max_num_seqs for each in drawn) > 1500) is wide
    assert {each.engine.limits.chunked_prefill for each in drawn} == ({True, False} if wide else {True})
    if seed == SCARCE_CONTENTION_SEED:
        assert min(held) < 2.0


def test_a_number_draws_the_case_that_it_always_drew():
    # Kept simulations name their cases by seed and number alone.
    drawn = [contention_case(0, 901), training_case(0, 1001), training_case(1, 1001)]
    assert [(each.engine.limits.max_num_seqs, each.engine.limits.max_num_batched_tokens) for each in drawn if each] == [
        (29, 8149), (32, 4546), (20, 7129),
    ]  # fmt: skip
