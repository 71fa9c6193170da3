"""Prompts of which a prefix cache holds a part: the fit finds the cost of a prompt token all the same."""

from dataclasses import replace

import pytest

from models.cached_prompts import cached_share, partly_cached
from models.engine import EngineLimits
from models.mean_step import MeanStep, steady_point
from models.measurement import LatencySummary, Measurement
from models.step_fit import fit
from models.step_time import LinearStepTime

LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=8192)
KNOWN = LinearStepTime(base_s=8e-3, per_prefill_token_s=6e-5, per_decode_s=5e-5, per_kv_token_s=4e-8)


def measured(users: float, share: float) -> Measurement:
    """1,500 tokens in and 200 out, `share` of the prompt cached, with the mean latencies of the known step."""
    load = partly_cached(Measurement(input_tokens=1500.0, output_tokens=200.0, concurrency=users), share)
    seen = steady_point(KNOWN, load, LIMITS)
    return replace(load, ttft=LatencySummary(mean_s=seen.ttft_s), tpot=LatencySummary(mean_s=seen.tpot_s))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_the_cost_of_a_prompt_token_does_not_depend_on_how_many_were_cached(share):
    found = fit([measured(users, share) for users in (1.0, 4.0, 16.0, 32.0, 64.0)], limits=LIMITS).step_time
    prefill_s = float(found.seconds(1000.0, 1.0, 0.0) - found.seconds(0.0, 1.0, 0.0)) / 1000.0
    assert prefill_s == pytest.approx(KNOWN.per_prefill_token_s, rel=0.3)  # some of it is taken for overhead


def test_cached_tokens_are_read_and_not_computed():
    whole, half = (MeanStep.at(4.0, 12e-3, measured(4.0, share), LIMITS) for share in (0.0, 0.5))
    assert half.kv_tokens == whole.kv_tokens
    assert half.prompt_tokens == 0.5 * whole.prompt_tokens


def test_a_prompt_found_whole_still_costs_one_token():
    assert measured(4.0, 1.0).input_tokens == 1.0
    assert cached_share(measured(4.0, 0.4)) == pytest.approx(0.4)
