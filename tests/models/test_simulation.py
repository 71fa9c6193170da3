"""The step simulator against what can be reckoned by hand, and against laws that hold for any queue."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from models.engine import Engine, EngineLimits
from models.errors import InvalidInput
from models.prediction import Routing
from models.simulation.replicas import Simulation, simulate
from models.step_time import ExpertsStepTime, LinearStepTime, RooflineStepTime, SqrtStepTime, StepTime
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, OpenArrivals, Workload

LINEAR = LinearStepTime(base_s=1e-2, per_prefill_token_s=1e-4, per_decode_s=1e-3, per_kv_token_s=1e-6)
Z = 4.5
"""Standard errors allowed: exceeded by chance once in 150,000 (normal), and the seed is fixed anyway."""


def engine(step_time: StepTime = LINEAR, **limits: int | bool | None) -> Engine:
    return Engine(step_time=step_time, limits=EngineLimits(**limits))


def poisson(rate_per_s: float, lengths: TokenLengths, **more: float) -> Workload:
    return Workload(arrivals=OpenArrivals(rate_per_s=rate_per_s, burstiness=more.pop("burstiness", 1.0)),
                    lengths=lengths, **more)  # fmt: skip


def closed(users: int, lengths: TokenLengths, *, think_time_s: float = 0.0) -> Workload:
    return Workload(arrivals=ClosedArrivals(users=users, think_time_s=think_time_s), lengths=lengths)


def alone(at: Engine, lengths: TokenLengths, **workload: float) -> Simulation:
    """Requests so rare that each finds the engine empty."""
    return simulate(at, poisson(1e-4, lengths, **workload), replicas=1, requests=200)


def expect_alone(simulation: Simulation, *, ttft_s: float, e2e_s: float) -> None:
    """Every request lives through exactly these. Clocks run to 1e6 s, so the ninth digit is lost."""
    assert simulation.samples["ttft"] == pytest.approx(ttft_s, rel=1e-6)
    assert simulation.samples["e2e"] == pytest.approx(e2e_s, rel=1e-6)


def test_one_request_by_hand():
    # Prefill of 100: 10 + 10 ms. Then decodes that read 101, 102 and 103 tokens of KV: 11 ms + 0.101, 0.102, 0.103 ms.
    expect_alone(alone(engine(), TokenLengths.of(100, 4)), ttft_s=20e-3, e2e_s=20e-3 + 33.306e-3)


def test_a_long_prompt_takes_several_steps():
    # 250 tokens at a budget of 100: steps of 100, 100 and 50 tokens, 20 + 20 + 15 ms. One decode: 11.251 ms.
    found = alone(engine(max_num_batched_tokens=100), TokenLengths.of(250, 2))
    expect_alone(found, ttft_s=55e-3, e2e_s=66.251e-3)


def test_an_output_of_one_token_ends_with_its_prompt():
    found = alone(engine(), TokenLengths.of(100, 1))
    expect_alone(found, ttft_s=20e-3, e2e_s=20e-3)
    assert "itl" not in found.prediction.laws
    assert "tpot" not in found.prediction.laws


def test_cached_prompt_tokens_cost_no_prefill_but_are_read():
    # Three quarters of 100 tokens are cached: 10 + 2.5 ms. The decode still reads 101 tokens of KV.
    found = alone(engine(), TokenLengths.of(100, 2), prefix_hit_rate=0.75)
    expect_alone(found, ttft_s=12.5e-3, e2e_s=12.5e-3 + 11.101e-3)


@pytest.mark.parametrize(
    "form",
    [
        LINEAR,
        SqrtStepTime(linear=LINEAR, per_sqrt_decode_s=3e-3),
        ExpertsStepTime(linear=LINEAR, experts=16, experts_per_token=3, per_expert_s=1e-3),
        RooflineStepTime(overhead_s=1e-3, weights_s=5e-3, per_kv_token_s=1e-5, per_token_compute_s=1e-3,
                         graph_sizes=(4, 8)),
    ],
    ids=lambda form: type(form).__name__,
)  # fmt: skip
def test_the_compiled_step_times_are_those_of_the_model(form: StepTime):
    # Three users; a new request just misses the step that starts when its user's last one ends. The first request is
    # alone in its step, the other two follow together, and so it stays: a cycle of the four steps below.
    found = simulate(engine(form), closed(3, TokenLengths.of(100, 3)), replicas=1, requests=300)
    two_prompts, all_decode, two_decode, one_prompt = (
        float(form.seconds(*work)) for work in ((200, 1, 101), (0, 3, 102 + 2 * 101), (0, 2, 2 * 102), (100, 0, 0))
    )
    one, two = two_decode + one_prompt, one_prompt + two_prompts
    cycle = [one, two, two] * 88
    assert sorted(found.samples["ttft"]) == pytest.approx(sorted(cycle), rel=1e-6)
    assert found.samples["e2e"] == pytest.approx(two_prompts + all_decode + two_decode + one_prompt, rel=1e-6)


def test_the_token_budget_is_never_exceeded():
    # 8 users of 100 tokens at a budget of 250: were a step to carry more than 250 tokens it would last longer than
    # 10 ms + 250 × 0.1 ms + 8 ms + the KV of 8 × 104 tokens, and that would be somebody's gap between tokens.
    # A decode takes its token out of the budget before any prompt does.
    found = simulate(
        engine(max_num_batched_tokens=250), closed(8, TokenLengths.of(100, 5, output_cv=0.5)), replicas=1, requests=5000
    )
    gaps = found.prediction.laws["itl"]
    longest = gaps.values_s[-1]
    kv_s = 8 * (100 + 40) * 1e-6
    bound = 10e-3 + 250 * 1e-4 + 8 * (1e-3 - 1e-4) + kv_s
    assert longest <= bound * math.exp(1 / 500)  # a bin of the histogram is 1/500 wide in the logarithm
    assert longest >= 10e-3 + 200 * 1e-4  # and it is used


def test_no_more_than_max_num_seqs_run():
    # One slot: requests are served one after another, a cycle of 20 ms + 11.101 ms each. The third of three users
    # waits for two of them.
    found = simulate(engine(max_num_seqs=1), closed(3, TokenLengths.of(100, 2)), replicas=1, requests=300)
    cycle_s = 20e-3 + 11.101e-3
    assert found.samples["queue"] == pytest.approx(2 * cycle_s, rel=1e-6)
    assert found.samples["e2e"] == pytest.approx(3 * cycle_s, rel=1e-6)
    assert found.prediction.running == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("chunked", "longest_s"), [(True, 25e-3), (False, 20e-3)])
def test_without_chunks_a_prompt_waits_for_a_step_that_holds_it(chunked: bool, longest_s: float):
    # Steps of 10 ms + 0.1 ms a prompt token; budget 150, less a token for each decode. In chunks a step takes up to
    # 149 prompt tokens; whole prompts of 100 fit only once.
    at = engine(
        LinearStepTime(base_s=1e-2, per_prefill_token_s=1e-4, per_decode_s=0.0, per_kv_token_s=0.0),
        max_num_batched_tokens=150,
        chunked_prefill=chunked,
    )
    found = simulate(at, closed(8, TokenLengths.of(100, 10, output_cv=0.5)), replicas=1, requests=5000)
    assert found.prediction.laws["itl"].values_s[-1] == pytest.approx(longest_s, rel=0.01)


def test_slots_at_constant_speed_wait_as_in_m_d_1():
    # One slot and a request of two steps of 20 ms: constant service of 40 ms. The mean wait of M/D/1 at ρ = 0.8 is
    # 40 ms × ρ/(2(1 − ρ)) = 80 ms (Pollaczek–Khinchine), and P(no wait) = 1 − ρ.
    constant = LinearStepTime(base_s=0.02, per_prefill_token_s=0.0, per_decode_s=0.0, per_kv_token_s=0.0)
    found = simulate(
        engine(constant, max_num_seqs=1), poisson(0.8 / 0.04, TokenLengths.of(10, 2)), replicas=1, requests=300_000
    )
    assert abs(found.samples["queue"].mean() - 0.08) <= Z * found.standard_error("queue", None)
    straight = (found.samples["queue"] < 1e-9).reshape(20, -1).mean(axis=1)
    assert abs(straight.mean() - 0.2) <= Z * straight.std(ddof=1) / math.sqrt(20)


def test_decodes_that_share_one_processor_are_an_m_g_1_ps_queue():
    # Steps cost only per_decode_s, prompts nothing: M/G/1-PS, mean time in system S/(1 − ρ) for a request of S alone
    # (Kleinrock 1967), to within the half step that an arrival waits for.
    sharing = LinearStepTime(base_s=1e-9, per_prefill_token_s=0.0, per_decode_s=1e-4, per_kv_token_s=0.0)
    rho, steps = 0.6, 400
    found = simulate(
        engine(sharing, max_num_seqs=512, max_num_batched_tokens=4096),
        poisson(rho / (steps * 1e-4), TokenLengths.of(1, steps + 1)), replicas=1, requests=60_000,
    )  # fmt: skip
    decode_s = found.samples["e2e"] - found.samples["ttft"]
    batches = decode_s[: decode_s.size // 20 * 20].reshape(20, -1).mean(axis=1)
    exact = steps * 1e-4 / (1.0 - rho)
    # A step is not infinitely short: one per cent covers the granularity of 400 steps a request.
    assert abs(decode_s.mean() - exact) <= Z * batches.std(ddof=1) / math.sqrt(20) + 0.01 * exact


@pytest.mark.parametrize("kv_cache_tokens", [None, 6000], ids=["ample", "short"])
def test_littles_law(kv_cache_tokens: int | None):
    # The simulator counts running sequences × seconds; requests tell how long each of them ran. No formula is shared.
    at = engine(replace(LINEAR, per_decode_s=1e-4), max_num_seqs=64, kv_cache_tokens=kv_cache_tokens)
    found = simulate(at, poisson(6.0, TokenLengths.of(200, 60, output_cv=1.0)), replicas=1, requests=100_000)
    inside_s = found.samples["e2e"] - found.samples["queue"]
    batches = inside_s[: inside_s.size // 20 * 20].reshape(20, -1).mean(axis=1)
    standard_error = 6.0 * batches.std(ddof=1) / math.sqrt(20)
    rate = found.prediction.requests_per_s
    if not found.prediction.preemptions_per_request:
        assert abs(found.prediction.running - rate * inside_s.mean()) <= Z * standard_error
    # A preempted request waits again, so it runs for less than its time since admission.
    assert found.prediction.running <= rate * inside_s.mean() + Z * standard_error


@pytest.mark.parametrize("think_time_s", [0.0, 2.0])
def test_littles_law_of_a_closed_loop(think_time_s: float):
    found = simulate(
        engine(), closed(40, TokenLengths.of(300, 50, prompt_cv=0.5, output_cv=1.0), think_time_s=think_time_s),
        replicas=2, requests=40_000,
    )  # fmt: skip
    mean_s = found.samples["e2e"].mean()
    tolerance = Z * found.standard_error("e2e", None) / mean_s + 0.01  # the window cuts requests at both ends
    assert found.prediction.requests_per_s * (mean_s + think_time_s) == pytest.approx(40.0, rel=tolerance)


def test_short_kv_memory_preempts_and_loses_no_token():
    # 24 users of 64 + 200 tokens need 24 × 17 blocks; memory has 100. Preempted requests compute again.
    at = engine(kv_cache_tokens=1600, max_num_seqs=64)
    found = simulate(at, closed(24, TokenLengths.of(64, 200)), replicas=1, requests=3000)
    assert found.prediction.preemptions_per_request > 0.05
    assert found.requests == found.samples["e2e"].size
    # Every output token but the first is a gap: tpot × 199 is the decode phase of each, exactly.
    decode_s = found.samples["e2e"] - found.samples["ttft"]
    assert found.samples["tpot"] * 199 == pytest.approx(decode_s, rel=1e-9)
    # No token is lost or counted twice: the gaps of the histogram add up to the decode phases of the same requests.
    assert found.prediction.laws["itl"].mean_s == pytest.approx(decode_s.mean() / 199, rel=1e-9)
    # Nothing decodes faster than a step that carries it alone.
    assert found.samples["tpot"].min() >= 10e-3 + 1e-3
    assert 0.5 < found.prediction.kv_occupancy <= 1.0


def test_ample_memory_is_memory_that_never_runs_out():
    at, lengths = engine(max_num_seqs=16), TokenLengths.of(64, 30, output_cv=0.5)
    ample = simulate(at, poisson(5.0, lengths), replicas=1, requests=5000)
    large = simulate(
        engine(max_num_seqs=16, kv_cache_tokens=1_000_000), poisson(5.0, lengths), replicas=1, requests=5000
    )
    assert np.array_equal(ample.samples["e2e"], large.samples["e2e"])
    assert large.prediction.preemptions_per_request == 0.0


def test_a_request_longer_than_memory_is_cut_and_memory_for_none_is_refused():
    found = alone(engine(kv_cache_tokens=64), TokenLengths.of(1000, 4))
    # 64 tokens hold a prompt of 60 and its output of 4: 16 ms, then decodes reading 61, 62 and 63 tokens.
    expect_alone(found, ttft_s=16e-3, e2e_s=16e-3 + 33e-3 + 186e-6)
    with pytest.raises(InvalidInput):
        alone(engine(kv_cache_tokens=8), TokenLengths.of(10, 4))


@pytest.mark.parametrize("routing", list(Routing))
def test_a_seed_gives_the_same_again_and_another_does_not(routing: Routing):
    def run(seed: int) -> Simulation:
        work = poisson(30.0, TokenLengths.of(200, 40, output_cv=1.0), burstiness=2.0)
        return simulate(engine(), work, replicas=3, routing=routing, requests=2000, seed=seed)

    first, again, other = run(5), run(5), run(6)
    for metric in ("ttft", "tpot", "e2e", "queue"):
        assert np.array_equal(first.samples[metric], again.samples[metric])
    assert not np.array_equal(first.samples["e2e"], other.samples["e2e"])


def test_least_outstanding_beats_round_robin_beats_random():
    work = poisson(60.0, TokenLengths.of(500, 20, prompt_cv=1.0, output_cv=1.0))

    def p99_s(routing: Routing) -> float:
        found = simulate(engine(), work, replicas=6, routing=routing, requests=60_000)
        return found.prediction.laws["ttft"].quantile(0.99)

    assert p99_s(Routing.LEAST_OUTSTANDING) < p99_s(Routing.ROUND_ROBIN) < p99_s(Routing.RANDOM)


def test_overload_is_called_unstable_however_many_seats_there_are():
    # A replica carries 12 a second: what comes beyond would find 4 × 4,096 seats for a long time.
    roomy = replace(engine(), limits=replace(engine().limits, max_num_seqs=4096))
    found = simulate(roomy, poisson(40.0, TokenLengths.of(500, 20)), replicas=4, requests=20_000)
    assert found.prediction.stable
    found = simulate(roomy, poisson(160.0, TokenLengths.of(500, 20)), replicas=4, requests=20_000)
    assert not found.prediction.stable


def test_overload_is_called_unstable():
    found = simulate(engine(), poisson(200.0, TokenLengths.of(500, 20)), replicas=1, requests=20_000)
    assert not found.prediction.stable
    assert not found.prediction.laws
