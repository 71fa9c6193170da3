"""When compiling pays: by hand, monotone, and in whole replicas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.break_even import break_evens, parse_gain, unused_gain
from planner.build_cost import HOURS_A_MONTH, BuildCost
from planner.compared import sized
from planner.comparison_row import Candidate, Load
from planner.objective import parse_objectives
from planner.price_book import load_prices
from planner.prices import price_rule
from planner.profile import load_profile

PRICES = price_rule(load_prices(None), cloud=None, region=None, stated=("2",))


def load(rate_per_s: float) -> Load:
    arrivals = OpenArrivals(rate_per_s=rate_per_s)
    workload = Workload(arrivals=arrivals, lengths=TokenLengths.of(512, 128))
    return Load(workload=workload, arrivals=arrivals, objectives=parse_objectives(["ttft:p99<=500ms"]))


def rows(rate_per_s: float, *names: str):
    candidates = [Candidate(name=name, profile=load_profile(name), gpu="A100-SXM4-80GB") for name in names]
    return [sized(each, load(rate_per_s), PRICES, build=BuildCost(compile_hours=2.0)) for each in candidates]


def test_a_build_by_hand():
    # 3 h on 4 GPUs at $2 and 5 hours of an engineer at $100 are $524; at $10 an hour saved they take 52.4 hours.
    build = BuildCost(compile_hours=3.0, set_up_hours=5.0, engineer_per_h=100.0)
    assert build.per_version(4, 2.0) == 524.0
    assert build.hours_until_paid(10.0, 524.0) == pytest.approx(52.4)


def test_releases_that_eat_the_saving_never_pay():
    build = BuildCost(compile_hours=1.0, releases_per_month=10.0)
    assert build.hours_until_paid(1.0, HOURS_A_MONTH / 10.0) is None
    assert build.hours_until_paid(2.0, HOURS_A_MONTH / 10.0) == pytest.approx(HOURS_A_MONTH / 10.0)


money = st.floats(0.01, 1e4)


@given(money, money, st.floats(0.0, 20.0), st.floats(1.0, 3.0))
def test_more_saved_pays_sooner_and_dearer_builds_and_more_releases_later(saving, cost, releases, more):
    def hours(saving=saving, cost=cost, releases=releases):
        found = BuildCost(compile_hours=1.0, releases_per_month=releases).hours_until_paid(saving, cost)
        return float("inf") if found is None else found

    assert hours(saving=more * saving) <= hours()
    assert hours(cost=more * cost) >= hours()
    assert hours(releases=more * releases) >= hours()


def test_nothing_saved_never_pays():
    assert BuildCost(compile_hours=0.0).hours_until_paid(0.0, 0.0) is None


def test_savings_are_whole_replicas_so_there_is_a_rate_from_which_it_pays():
    pair = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-a100-triton")
    build = BuildCost(compile_hours=2.0)
    (low,) = break_evens(rows(10.0, *pair), load(10.0), PRICES, build, ())
    assert (low.saving_per_h, low.hours) == (0.0, None)
    assert low.reason == "1 replica against 1 replica: TensorRT-LLM saves nothing here, so building never pays"
    one = rows(10.0, pair[0])[0]
    assert low.saves.first_per_s == pytest.approx(one.max_rate_per_s, rel=2e-3)
    assert low.saves.always_from_per_s > low.saves.first_per_s
    rate = 1.02 * low.saves.first_per_s
    (high,) = break_evens(rows(rate, *pair), load(rate), PRICES, build, ())
    assert (high.saving_per_h, high.per_version, high.hours) == (2.0, 4.0, 2.0)


def test_a_supposed_gain_is_sized_where_nothing_was_measured():
    found = break_evens(
        rows(240.0, "llama-3.1-8b-a100-vllm"), load(240.0), PRICES, BuildCost(compile_hours=2.0), (0.0, 0.2)
    )
    same, better = found
    assert same.saving_per_h == 0.0
    assert better.compiled.name == "llama-3.1-8b-a100-vllm +20%"
    assert better.compiled.max_rate_per_s / better.compiled.fields["replicas"] == pytest.approx(
        1.2 * better.vllm.max_rate_per_s / better.vllm.fields["replicas"], rel=0.03
    )


def test_building_is_paid_for_from_a_higher_rate_than_that_of_the_first_saving():
    pair = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-a100-triton")
    build = BuildCost(compile_hours=3.0, set_up_hours=8.0, engineer_per_h=100.0, releases_per_month=4.0)
    (found,) = break_evens(rows(240.0, *pair), load(240.0), PRICES, build, ())
    # $806 in 730.5 / 4 hours are $4.41 an hour: three replicas of $2 less, where one less is a saving.
    assert build.per_hour(found.per_version) == pytest.approx(806.0 / (730.5 / 4.0))
    assert found.hours is None
    assert found.saves.first_per_s < found.pays.first_per_s
    assert found.saves.always_from_per_s < found.pays.always_from_per_s
    for rate, pays in ((1.01 * found.pays.always_from_per_s, True), (0.99 * found.pays.first_per_s, False)):
        (there,) = break_evens(rows(rate, *pair), load(rate), PRICES, build, ())
        assert (there.hours is not None) == pays


def test_without_releases_or_a_price_no_rate_has_to_pay_for_building():
    pair = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-a100-triton")
    (once,) = break_evens(rows(10.0, *pair), load(10.0), PRICES, BuildCost(compile_hours=2.0), ())
    assert once.pays is None


def test_a_gain_that_is_not_supposed_is_told():
    pair = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-a100-triton")
    for names, words in ((pair, "measured alike"), (pair[1:], "no measured profile of vLLM"), (pair[:1], None)):
        there = rows(10.0, *names)
        found = break_evens(there, load(10.0), PRICES, BuildCost(compile_hours=2.0), (0.2,))
        told = " ".join(unused_gain(there, found))
        assert words in told if words else not told


@pytest.mark.parametrize("text", ["x", "0.2..0.1", "-0.1", "0.1..0.2..0.3", "15", "nan", ""])
def test_what_is_no_gain_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a gain"):
        parse_gain(text)
