"""The second referee on cases that can be reckoned on paper.

A step takes 1 s, plus 0.01 s a prompt token, 0.1 s a decoding sequence, 0.001 s a KV token read, unless said.
"""

import math

import numpy as np
import pytest

from benchmarks.referees import unlike
from benchmarks.request_trace import Trace, draw
from benchmarks.second_referee import Seen, referee, replay
from models.engine import Engine, EngineLimits
from models.prediction import Routing
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload


def engine(*terms, **limits):
    base, prefill, decode, kv = terms or (1.0, 0.01, 0.1, 0.001)
    step = LinearStepTime(base_s=base, per_prefill_token_s=prefill, per_decode_s=decode, per_kv_token_s=kv)
    return Engine(step_time=step, limits=EngineLimits(**limits))


def played(engine, *requests, replicas=1, routing=Routing.RANDOM, chance=0.0) -> Seen:
    """Requests as (arrival, prompt, output) or (arrival, prompt, output, cached)."""
    arrival, prompt, output, cached = zip(*((*each, 0)[:4] for each in requests), strict=True)
    trace = Trace(
        np.array(arrival, dtype=float),
        *(np.array(column, dtype=np.int64) for column in (prompt, output, cached)),
        np.full(len(arrival), chance),
    )
    return replay(engine, trace, replicas=replicas, routing=routing, all_count=True)


def gaps(seen: Seen) -> list[float]:
    """All gaps, ascending, to the grain of their bins."""
    total = int(seen.gaps.sum())
    return seen.quantiles("itl", [(index + 0.5) / total for index in range(total)])


def test_one_request_alone():
    seen = played(engine(), (0.5, 100, 3))
    assert seen.queue == pytest.approx([0.0])
    assert seen.ttft == pytest.approx([2.0])  # 1 + 100 × 0.01
    assert gaps(seen) == pytest.approx([1.201, 1.202], rel=3e-4)  # 1 + 0.1 + 0.101, then a context of 102
    assert seen.e2e == pytest.approx([2.0 + 1.201 + 1.202])
    assert seen.tpot == pytest.approx([1.2015])


def test_arrivals_during_a_step_share_the_next_one():
    seen = played(engine(), (0.0, 100, 1), (0.5, 10, 1), (1.0, 20, 2))
    # The first step ends at 2.0; the next holds 30 prompt tokens and ends at 3.3; the last decodes at context 21.
    assert seen.queue == pytest.approx([0.0, 1.5, 1.0])
    assert seen.ttft == pytest.approx([2.0, 2.8, 2.3])
    assert seen.e2e == pytest.approx([2.0, 2.8, 2.3 + 1.121])


def test_a_long_prompt_is_spread_over_steps_beside_a_decode():
    seen = played(engine(max_num_batched_tokens=64, max_num_seqs=8), (0.0, 10, 4), (0.1, 100, 1))
    # First token at 1.1. A decode (context 11) and 63 prompt tokens: 1.741. A decode (12) and 37: 1.482. Last 1.113.
    assert seen.ttft == pytest.approx([1.1, 1.1 + 1.741 + 1.482 - 0.1])
    assert seen.e2e[0] == pytest.approx(1.1 + 1.741 + 1.482 + 1.113)
    assert seen.queue[1] == pytest.approx(1.0)


def test_an_unchunked_prompt_waits_until_it_fits_and_blocks_those_behind():
    limits = {"max_num_batched_tokens": 64, "max_num_seqs": 8, "chunked_prefill": False}
    seen = played(engine(**limits), (0.0, 10, 2), (0.1, 64, 1), (0.2, 5, 1))
    # 64 do not fit beside a decode (63 left): the decode runs alone until 1.1 + 1.111. Then 64; then the last 5.
    assert seen.queue == pytest.approx([0.0, 2.211 - 0.1, 2.211 + 1.64 - 0.2])
    longer = played(engine(**limits), (0.0, 200, 1))
    assert longer.ttft == pytest.approx([3.0])  # more than the budget, but the whole budget is free


def test_sequence_slots():
    seen = played(engine(max_num_seqs=1), (0.0, 100, 2), (0.0, 100, 1))
    assert seen.queue == pytest.approx([0.0, 2.0 + 1.201])


def test_cached_tokens_cost_nothing_but_hold_memory():
    assert played(engine(), (0.0, 100, 1, 60)).ttft == pytest.approx([1.4])
    tight = engine(kv_cache_tokens=112, kv_block_size=16)  # 7 blocks, and each of the two needs 4
    assert played(tight, (0.0, 60, 1), (0.0, 60, 1, 59)).queue == pytest.approx([0.0, 1.6])


def test_the_youngest_is_preempted_and_computes_all_again():
    # Blocks of 4, 4 in all. A: prompt 7, output 4; B: prompt 7, output 3. A arrives first; B joins its second step.
    seen = played(engine(kv_cache_tokens=16, kv_block_size=4), (0.0, 7, 4), (0.5, 7, 3))
    steps = [
        1.07,  # A's prompt (2 blocks)
        1.0 + 0.1 + 0.008 + 0.07,  # A reads 8 and stays in 2 blocks, B's prompt takes the other 2
        1.0 + 0.1 + 0.009,  # A needs a third block: B is preempted, and nobody is admitted in this step
        1.0 + 0.1 + 0.010,  # A's last token; A holds 3 blocks, so B, which now needs 2, waits until A has left
        1.08,  # B computes 7 + 1 tokens anew
    ]
    times = np.cumsum(steps)
    assert seen.ttft == pytest.approx([times[0], times[1] - 0.5])
    assert seen.e2e[0] == pytest.approx(times[3])
    # B's second token comes with those 8, its third from a decode at a context of 9.
    assert seen.e2e[1] == pytest.approx(times[4] + 1.109 - 0.5)
    assert seen.preemptions_per_request == 0.5
    assert gaps(seen)[-1] == pytest.approx(times[4] - times[1], rel=3e-4)


def test_what_is_longer_than_memory_is_cut_to_it_prompt_first():
    seen = played(engine(kv_cache_tokens=32, kv_block_size=16), (0.0, 100, 12))
    assert seen.ttft == pytest.approx([1.2])  # 20 prompt tokens
    assert seen.gaps.sum() == 11
    assert seen.preemptions_per_request == 0.0


def test_round_robin_and_least_outstanding():
    pair = [(0.0, 100, 1), (0.1, 100, 1)]
    assert played(engine(), *pair, replicas=2, routing=Routing.ROUND_ROBIN).queue == pytest.approx([0.0, 0.0])
    assert played(engine(), *pair, replicas=2, routing=Routing.RANDOM).queue == pytest.approx([0.0, 1.9])
    # With chance 0 ties go to the first. The third finds 1 and 1, the fourth 2 and 1. At 2.5 both first ones have left:
    # 1 and 1, and the first replica's step lasts until 4.0. At 3.5 the second replica is empty.
    more = [*pair, (0.2, 100, 10), (0.3, 10, 1), (2.5, 10, 1), (3.5, 10, 1)]
    seen = played(engine(), *more, replicas=2, routing=Routing.LEAST_OUTSTANDING)
    assert seen.queue == pytest.approx([0.0, 0.0, 2.0 - 0.2, 2.1 - 0.3, 4.0 - 2.5, 0.0])


def test_mean_wait_of_single_service_is_that_of_pollaczek_and_khinchine():
    # One slot, one output token, prompts of 1: every step serves one request in 1 s, an M/D/1 queue.
    one = engine(1.0, 0.0, 0.0, 0.0, max_num_seqs=1)
    load = 0.7
    asked = Workload(arrivals=OpenArrivals(rate_per_s=load), lengths=TokenLengths.of(1, 1))
    seen = referee(one, asked, replicas=1, routing=Routing.RANDOM, requests=400_000, seed=3)
    assert seen.queue.mean() == pytest.approx(load / (2.0 * (1.0 - load)), rel=0.03)
    assert np.mean(seen.queue == 0.0) == pytest.approx(1.0 - load, abs=0.01)


def test_drawn_requests_have_the_asked_moments():
    lengths = TokenLengths.of(200, 50, prompt_cv=0.5, output_cv=1.0)
    asked = Workload(arrivals=OpenArrivals(rate_per_s=4.0, burstiness=2.5), lengths=lengths, prefix_hit_rate=0.25)
    trace = draw(asked, 200_000, seed=5)
    between = np.diff(trace.arrival_s)
    assert between.mean() == pytest.approx(0.25, rel=0.02)
    assert between.var() / between.mean() ** 2 == pytest.approx(2.5, rel=0.05)
    assert trace.prompt.mean() == pytest.approx(200, rel=0.01)
    assert trace.output.std() / trace.output.mean() == pytest.approx(1.0, rel=0.05)
    assert trace.cached.sum() / trace.prompt.sum() == pytest.approx(0.25, rel=0.01)
    assert trace.prompt.min() >= 1
    assert math.isclose(float(trace.chance.mean()), 0.5, abs_tol=0.01)


def test_work_is_conserved():
    # Whatever the routing, the busy replicas serve all: tokens and requests come out as they went in.
    asked = Workload(arrivals=OpenArrivals(rate_per_s=40.0), lengths=TokenLengths.of(60, 20, output_cv=1.0))
    tight = engine(0.01, 1e-4, 1e-4, 0.0, kv_cache_tokens=800, max_num_seqs=16, max_num_batched_tokens=128)
    trace = draw(asked, 20_000, seed=2)
    for routing in Routing:
        seen = replay(tight, trace, replicas=3, routing=routing, all_count=True)
        assert seen.gaps.sum() == (trace.output - 1).sum()
        assert seen.preemptions_per_request > 0.0
        assert np.all(seen.queue >= 0.0)
        assert np.all(seen.e2e >= seen.ttft)
        assert np.all(seen.ttft > seen.queue)


@pytest.mark.parametrize("number", range(12))
def test_both_simulators_play_the_same_requests_alike(number):
    rng = np.random.default_rng(number)
    limits = {
        "max_num_seqs": int(rng.integers(1, 20)),
        "max_num_batched_tokens": int(rng.integers(130, 400)),
        "kv_cache_tokens": int(rng.integers(300, 3000)) if number % 3 else None,
        "kv_block_size": int(rng.choice([1, 4, 16])),
        "chunked_prefill": bool(number % 4),
    }
    lengths = TokenLengths.of(60, 30, prompt_cv=float(rng.uniform(0, 1.0)), output_cv=float(rng.uniform(0, 1.0)))
    arrivals = OpenArrivals(rate_per_s=float(rng.uniform(2, 20)), burstiness=float(rng.uniform(0.5, 4)))
    asked = Workload(arrivals=arrivals, lengths=lengths, prefix_hit_rate=float(rng.choice([0.0, 0.3])))
    replicas = int(rng.integers(1, 4))
    trace = draw(asked, 2_000, seed=number)
    if not limits["chunked_prefill"]:  # the two treat differently what no budget holds, and vLLM refuses
        trace = trace._replace(prompt=np.minimum(trace.prompt, 60), output=np.minimum(trace.output, 60))
        trace = trace._replace(cached=np.minimum(trace.cached, trace.prompt - 1))
    assert unlike(engine(0.01, 1e-4, 1e-4, 1e-6, **limits), trace, replicas) < 1e-9
