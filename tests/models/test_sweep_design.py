"""The loads of a sweep: what is always among them, that they pin every term, and that no even spread does as well."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine import EngineLimits
from models.errors import InvalidInput
from models.mean_step import steady_point
from models.measurement import LatencySummary, Measurement
from models.step_fit import fit
from models.step_prior import StepPrior
from models.step_time import LinearStepTime
from models.sweep_design import Lengths, design_loads, expected_load, information

LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=8192, kv_cache_tokens=400_000)
PRIOR = StepPrior(
    base_s=8e-3, per_prefill_token_s=3e-5, per_decode_s=3e-5, per_kv_token_s=6e-8, source="a mid-sized model"
)
CHAT = Lengths(input_tokens=512, output_tokens=128, longest=8192)


def precision(loads):
    return np.eye(6) + sum(information(load, PRIOR, LIMITS) for load in loads)


def log_det(loads):
    return float(np.linalg.slogdet(precision(loads))[1])


def closed(users, prompt=512, output=128):
    return expected_load(Measurement(concurrency=users, input_tokens=prompt, output_tokens=output), PRIOR, LIMITS)


def test_a_sweep_has_a_quiet_a_full_and_open_loads_at_the_own_lengths():
    loads = design_loads(PRIOR, LIMITS, CHAT)
    own = [load.load for load in loads if (load.load.input_tokens, load.load.output_tokens) == (512, 128)]
    assert {1, 256} <= {load.concurrency for load in own}
    opened = [load for load in loads if load.load.concurrency is None and load.load in own]
    assert any(0.33 <= load.utilization <= 0.68 for load in opened)
    assert any(0.72 <= load.utilization <= 0.88 for load in opened)


def test_a_sweep_is_short_and_of_several_lengths():
    loads = design_loads(PRIOR, LIMITS, CHAT)
    assert 5 <= len(loads) <= 9
    assert len({(load.load.input_tokens, load.load.output_tokens) for load in loads}) >= 3
    assert len({load.load for load in loads}) == len(loads)


def test_every_term_is_pinned_far_below_its_prior():
    """One standard deviation, relative to before: below a quarter; decode, beside a concave term, below a half."""
    after = np.sqrt(np.diag(np.linalg.inv(precision(design_loads(PRIOR, LIMITS, CHAT)))))
    assert (after[:4] < [0.25, 0.25, 0.5, 0.25]).all(), after


def test_one_pair_of_lengths_tells_half_as_much_as_the_design():
    """The usual sweep, users doubling at one pair of lengths, twice as long as the design, leaves the KV term open."""
    loads = design_loads(PRIOR, LIMITS, CHAT)
    usual = [closed(users) for users in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    assert len(usual) >= len(loads)
    assert log_det(loads) > log_det(usual) + 3.0


@given(
    prompt=st.integers(16, 4096),
    output=st.integers(2, 2048),
    seats=st.sampled_from([2, 8, 64, 256, 1024]),
    kv=st.sampled_from([None, 20_000, 200_000]),
    base=st.floats(1e-3, 0.1),
)
@settings(max_examples=12)
def test_a_design_is_never_worse_than_random_loads_of_its_size(prompt, output, seats, kv, base):
    limits = EngineLimits(max_num_seqs=seats, max_num_batched_tokens=2048, kv_cache_tokens=kv)
    prior = StepPrior(
        base_s=base, per_prefill_token_s=base / 300, per_decode_s=base / 300, per_kv_token_s=base / 1e5, source="drawn"
    )
    lengths = Lengths(input_tokens=prompt, output_tokens=output, longest=16_384)
    loads = design_loads(prior, limits, lengths, most=8)

    def value(chosen):
        return np.linalg.slogdet(np.eye(6) + sum(information(load, prior, limits) for load in chosen))[1]

    # The required points at the own lengths, the rest drawn: a design that a person could have made.
    own = [load for load in loads if (load.load.input_tokens, load.load.output_tokens) == (prompt, output)][:4]
    chance = np.random.default_rng(prompt)
    for _ in range(10):
        drawn = [
            expected_load(
                Measurement(
                    concurrency=float(chance.integers(1, seats + 1)), input_tokens=prompt, output_tokens=output
                ),
                prior,
                limits,
            )
            for _ in range(len(loads) - len(own))
        ]
        assert value(loads) >= value([*own, *drawn]) - 1e-9
    assert all(load.load.input_tokens + load.load.output_tokens <= 16_384 for load in loads)
    assert all((load.load.concurrency or 1) <= seats for load in loads)


def test_kv_memory_bounds_the_users():
    small = EngineLimits(max_num_seqs=256, max_num_batched_tokens=8192, kv_cache_tokens=10_240)
    loads = design_loads(PRIOR, small, CHAT)
    assert max(load.load.concurrency or 0 for load in loads if load.load.input_tokens == 512) == 16


def test_an_engine_of_one_sequence_still_has_a_sweep():
    loads = design_loads(PRIOR, EngineLimits(max_num_seqs=1), CHAT)
    assert {load.load.concurrency for load in loads} == {1, None}


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"input_tokens": 512, "output_tokens": 1, "longest": 4096}, "tell no time of a token"),
        ({"input_tokens": 4000, "output_tokens": 128, "longest": 4096}, "more than the 4096"),
    ],
)
def test_lengths_that_cannot_be_measured_are_refused(lengths, said):
    with pytest.raises(InvalidInput, match=said):
        Lengths(**lengths)


def test_too_few_points_for_what_every_sweep_holds_are_refused():
    with pytest.raises(InvalidInput, match="3 points are too few"):
        design_loads(PRIOR, LIMITS, CHAT, most=3)


def measured(loads, truth, chance):
    """The loads as an engine of another step time than expected would show them, with 3 % of noise."""
    points = []
    for load in loads:
        seen = steady_point(truth, load.load, LIMITS)
        tpot, ttft = (value * (1.0 + 0.03 * chance.standard_normal()) for value in (seen.tpot_s, seen.ttft_s))
        points.append(
            replace(
                load.load,
                tpot=LatencySummary(mean_s=tpot),
                ttft=LatencySummary(mean_s=ttft),
                # By Little's law as noisy as the latencies, where users wait for them.
                requests_per_s=None if load.load.concurrency is not None else seen.requests_per_s,
            )
        )
    return points


def test_a_fit_to_the_design_foretells_other_lengths_better_than_one_to_the_usual_sweep():
    """An engine whose terms are 0.6 to 1.8 times the expected; TPOT at lengths that neither sweep measured.

    The usual sweep doubles the users at one pair of lengths and has as many points as the design.
    """
    designed = design_loads(PRIOR, LIMITS, CHAT)
    usual = [closed(users) for users in (1, 2, 4, 8, 16, 32, 64, 128, 256)][-len(designed) :]
    others = [(3000, 150), (200, 1000), (4096, 64), (1500, 400), (60, 60)]
    chance = np.random.default_rng(11)
    errors = {"designed": [], "usual": []}
    for _ in range(15):
        drawn = chance.uniform(0.6, 1.8, size=4)
        truth = LinearStepTime(
            base_s=PRIOR.base_s * drawn[0],
            per_prefill_token_s=PRIOR.per_prefill_token_s * drawn[1],
            per_decode_s=PRIOR.per_decode_s * drawn[2],
            per_kv_token_s=PRIOR.per_kv_token_s * drawn[3],
        )
        for name, loads in (("designed", designed), ("usual", usual)):
            found = fit(measured(loads, truth, chance), limits=LIMITS, prior=PRIOR).step_time
            for prompt, output in others:
                load = Measurement(concurrency=40, input_tokens=prompt, output_tokens=output)
                predicted, true = (steady_point(step, load, LIMITS).tpot_s for step in (found, truth))
                errors[name].append(abs(predicted / true - 1.0))
    assert np.median(errors["designed"]) < 0.02
    assert np.median(errors["designed"]) < 0.6 * np.median(errors["usual"])
    assert np.quantile(errors["designed"], 0.9) < 0.6 * np.quantile(errors["usual"], 0.9)
