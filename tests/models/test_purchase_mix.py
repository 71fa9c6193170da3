"""The mix of least cost is the one that trying every mix finds, slot by slot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.need_law import NeedLaw, mixed
from models.purchase_mix import PurchaseMix, best_mix
from models.purchase_offers import ExistingCommitment, PurchaseOptions, ReservedOffer, SpotOffer

MOST = 4
YEAR = 365.25
PRICES = st.sampled_from([0.25, 0.5, 0.6, 0.75, 1.0, 1.3])  # of 1 on demand: many ties with shares of 4 slots
NEEDS = st.lists(st.integers(0, MOST), min_size=1, max_size=6)
FEW = st.lists(st.integers(0, 2), min_size=1, max_size=3)
SPOT = st.none() | st.builds(
    SpotOffer,
    price_per_gpu_hour=st.sampled_from([0.2, 0.5, 0.9, 1.2]),
    greatest_share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    extra_hours=st.sampled_from([0.0, 0.2]),
)
EXISTING = st.lists(
    st.builds(
        ExistingCommitment, gpus=st.integers(0, 2), days_left=st.sampled_from([0.25 * YEAR, YEAR, 1.5 * YEAR, math.inf])
    ),
    max_size=2,
)


def offers_of(terms: Sequence[float], prices: Sequence[float]) -> tuple[ReservedOffer, ...]:
    return tuple(
        ReservedOffer(name=f"{term:g} y, {number}", term_years=term, price_per_gpu_hour=price)
        for number, (term, price) in enumerate(zip(terms, prices, strict=True))
    )


def running_cost(needed: int, committed: int, options: PurchaseOptions) -> float:
    """The cheapest way through one slot, every number of spot GPUs tried."""
    beyond = max(needed - committed, 0)
    spot = options.spot
    most = min(beyond, math.floor(needed * spot.greatest_share)) if spot else 0
    return min(
        (beyond - taken) * options.on_demand_per_gpu_hour
        + (taken * spot.price_per_gpu_hour * (1.0 + spot.extra_hours) if spot else 0.0)
        for taken in range(most + 1)
    )


def cost_of(
    bought: Sequence[tuple[ReservedOffer, int, int]],
    years: Sequence[Sequence[int]],
    options: PurchaseOptions,
    existing: Sequence[ExistingCommitment],
) -> float:
    """A mix (offer, year, GPUs) hour by hour: every quarter of each year for each slot."""
    total = sum(o.price_per_gpu_hour * gpus * max(1.0, o.term_years) for o, _, gpus in bought)
    for year, needs in enumerate(years):
        stands = sum(g for o, begin, g in bought if begin <= year < begin + max(1.0, o.term_years))
        for quarter in (0.0, 0.25, 0.5, 0.75):
            held = stands + sum(each.gpus for each in existing if each.days_left > (year + quarter) * YEAR)
            total += sum(running_cost(n, held, options) for n in needs) / len(needs) / 4.0
    return total / len(years)


def cheapest_of_all(
    years: Sequence[Sequence[int]],
    options: PurchaseOptions,
    existing: Sequence[ExistingCommitment],
    first: int = 0,
) -> float:
    ways = [
        (offer, year)
        for offer in options.reserved
        for year in range(first, len(years) - max(1, round(offer.term_years)) + 1)
    ]
    most = max(map(max, years))
    return min(
        cost_of([(*way, count) for way, count in zip(ways, counts, strict=True)], years, options, existing)
        for counts in itertools.product(range(most + 1), repeat=len(ways))
    )


def bought(mix: PurchaseMix) -> list[tuple[ReservedOffer, int, int]]:
    return [(each.offer, each.year, each.gpus) for each in mix.purchases]


@given(needs=NEEDS, prices=st.lists(PRICES, max_size=2), spot=SPOT, existing=EXISTING)
def test_no_mix_of_one_year_is_cheaper(
    needs: list[int], prices: list[float], spot: SpotOffer | None, existing: list[ExistingCommitment]
):
    options = PurchaseOptions(
        on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0, 0.5][: len(prices)], prices), spot=spot
    )
    mix = best_mix([NeedLaw.of_slots(needs)], options, existing)
    assert mix.cost_per_hour == pytest.approx(cheapest_of_all([needs], options, existing))
    assert mix.cost_per_hour == pytest.approx(cost_of(bought(mix), [needs], options, existing))


@given(
    years=st.lists(NEEDS, min_size=2, max_size=2) | st.lists(FEW, min_size=3, max_size=3),
    prices=st.tuples(PRICES, PRICES),
    spot=SPOT,
    existing=EXISTING,
)
def test_no_mix_of_two_terms_is_cheaper_where_the_need_changes_over_the_years(
    years: list[list[int]], prices: tuple[float, float], spot: SpotOffer | None, existing: list[ExistingCommitment]
):
    options = PurchaseOptions(
        on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0, float(len(years))], prices), spot=spot
    )
    mix = best_mix([NeedLaw.of_slots(needs) for needs in years], options, existing)
    assert mix.cost_per_hour == pytest.approx(cheapest_of_all(years, options, existing))
    assert mix.cost_per_hour == pytest.approx(cost_of(bought(mix), years, options, existing))
    assert mix.saving_per_hour >= -1e-12


@settings(max_examples=30)
@given(years=st.lists(FEW, min_size=3, max_size=3), prices=st.tuples(PRICES, PRICES, PRICES), first=st.integers(0, 1))
@example(years=[[1], [0], [1]], prices=(0.75, 0.25, 0.5), first=0)
@example(years=[[1], [2], [1]], prices=(1.0, 0.5, 1.0), first=0)  # two GPUs for two years each, a year apart
def test_no_mix_of_terms_that_overlap_is_cheaper(years: list[list[int]], prices: tuple[float, ...], first: int):
    options = PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0, 2.0, 3.0], prices))
    mix = best_mix([NeedLaw.of_slots(needs) for needs in years], options, first_purchase=first)
    assert mix.cost_per_hour == pytest.approx(cheapest_of_all(years, options, [], first))
    assert mix.cost_per_hour == pytest.approx(cost_of(bought(mix), years, options, []))


@given(needs=st.lists(st.integers(0, 300), min_size=1, max_size=50), price=st.floats(0.01, 0.99))
def test_what_is_committed_is_the_quantile_at_the_critical_ratio(needs: list[int], price: float):
    mix = best_mix([NeedLaw.of_slots(needs)], market(price))
    committed = sum(mix.bought_now.values())
    more = sum(need > committed for need in needs) / len(needs)
    fewer = sum(need >= committed for need in needs) / len(needs)
    assert more <= price + 1e-8
    assert committed == 0 or fewer > price


def market(one_year: float, three_years: float | None = None, spot: SpotOffer | None = None) -> PurchaseOptions:
    offers = [ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=one_year)]
    if three_years is not None:
        offers.append(ReservedOffer(name="3 y", term_years=3.0, price_per_gpu_hour=three_years))
    return PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=tuple(offers), spot=spot)


DAY_AND_NIGHT = NeedLaw.of_slots([10] * 12 + [30] * 12)


def test_a_day_and_a_night():
    mix = best_mix([DAY_AND_NIGHT], market(0.6))
    assert mix.bought_now == {"1 y": 10}
    assert mix.all_on_demand_per_hour == pytest.approx(20.0)
    assert mix.cost_per_hour == pytest.approx(10 * 0.6 + 20 * 0.5)
    assert mix.saving_per_hour == pytest.approx(4.0)
    assert mix.years[0].short_gpus == pytest.approx(10.0)
    assert mix.years[0].idle_gpus == 0.0
    cheap = best_mix([DAY_AND_NIGHT], market(0.4))
    assert cheap.bought_now == {"1 y": 30}
    assert cheap.years[0].idle_gpus == pytest.approx(10.0)


def test_a_tie_commits_to_nothing():
    assert best_mix([DAY_AND_NIGHT], market(0.5)).bought_now == {"1 y": 10}
    assert best_mix([NeedLaw.of_slots([4])], market(1.0)).bought_now == {"1 y": 0}


def test_terms_at_one_price_are_bought_for_the_shorter_one():
    assert best_mix([DAY_AND_NIGHT], market(0.4, 0.4)).bought_now == {"1 y": 30, "3 y": 0}


def test_growth_is_bought_year_by_year_above_what_is_needed_throughout():
    mix = best_mix([NeedLaw.of_slots([need]) for need in (10, 20, 30)], market(0.8, 0.5))
    assert mix.bought_now == {"1 y": 0, "3 y": 20}  # the 11th to the 20th for two years of three: 3·0.5 < 2·0.8
    assert [(each.offer.name, each.year, each.gpus) for each in mix.purchases][1:] == [("1 y", 2, 10)]
    shrinking = best_mix([NeedLaw.of_slots([need]) for need in (30, 20, 10)], market(0.7, 0.5))
    assert shrinking.bought_now == {"1 y": 20, "3 y": 10}  # 3·0.5 > 2·0.7


def test_what_commitments_spare_is_told_apart_by_the_need_that_they_carry():
    mix = best_mix([NeedLaw.of_slots(needs) for needs in ([8, 10], [6, 8], [6, 8])], market(0.4, 0.35))
    assert [(each.offer.name, each.year, each.gpus, each.avoided_per_hour) for each in mix.purchases] == [
        ("1 y", 0, 2, (pytest.approx(1.0),)),
        ("3 y", 0, 8, (pytest.approx(8.0), pytest.approx(7.0), pytest.approx(7.0))),
    ]


def test_spot_is_taken_within_its_share_of_what_runs():
    spot = SpotOffer(price_per_gpu_hour=0.25, greatest_share=0.3, extra_hours=0.2)
    mix = best_mix([DAY_AND_NIGHT], market(0.7, spot=spot))  # the 8th spares 0.3 at night and 1 by day: 0.65
    year = mix.years[0]
    assert mix.bought_now == {"1 y": 7}
    assert (year.most_spot_gpus, year.most_on_demand_gpus) == (9.0, 14.0)
    assert year.spot_gpus == pytest.approx((3 + 9) / 2)
    assert mix.cost_per_hour == pytest.approx(7 * 0.7 + (3 + 9) / 2 * 0.3 + (0 + 14) / 2)


def test_spot_whose_interruptions_make_it_dear_is_not_taken():
    spot = SpotOffer(price_per_gpu_hour=0.6, greatest_share=1.0, extra_hours=0.7)
    assert best_mix([DAY_AND_NIGHT], market(0.9, spot=spot)).years[0].spot_gpus == 0.0


def test_without_a_reserved_price_there_is_no_reserved_advice():
    mix = best_mix([DAY_AND_NIGHT], PurchaseOptions(on_demand_per_gpu_hour=2.0))
    assert mix.bought_now == {}
    assert mix.cost_per_hour == mix.all_on_demand_per_hour == pytest.approx(40.0)


def test_what_was_bought_before_is_used_first_until_it_ends():
    options = market(0.6)
    assert best_mix([DAY_AND_NIGHT], options, [ExistingCommitment(gpus=10)]).purchases == ()
    half = best_mix([NeedLaw.of_slots([10])], options, [ExistingCommitment(gpus=10, days_left=0.5 * YEAR)])
    assert half.purchases == ()  # it would be used half of the year, at a critical ratio of 0.6
    assert half.cost_per_hour == pytest.approx(5.0)
    quarter = best_mix([NeedLaw.of_slots([10])], options, [ExistingCommitment(gpus=10, days_left=0.25 * YEAR)])
    assert quarter.bought_now == {"1 y": 10}


def test_a_fleet_that_needs_nothing_buys_nothing():
    options = PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0, 2.0, 3.0], [0.5, 0.4, 0.3]))
    mix = best_mix([NeedLaw.of_slots([0])], options)
    assert (mix.purchases, mix.cost_per_hour, mix.saving_per_hour) == ((), 0.0, 0.0)


def test_break_even_is_the_ratio_of_the_prices():
    options = market(0.6, 1.3)
    assert [options.break_even_use(offer) for offer in options.reserved] == [pytest.approx(0.6), None]


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=20), st.integers(0, 25))
def test_the_use_of_gpus_adds_up_to_the_need(needs: list[float], count: int):
    law = NeedLaw.of_slots(needs)
    direct = [np.mean(np.clip(np.array(needs) - k, 0.0, 1.0)) for k in range(count)]
    assert law.use(count) == pytest.approx(direct, abs=1e-9)
    assert law.use(20).sum() == pytest.approx(law.mean, abs=1e-9)


def test_slots_without_data_are_left_out_and_scenarios_weighed():
    assert NeedLaw.of_slots([1.0, math.nan, 3.0]).mean == 2.0
    assert NeedLaw.of_slots([[1, 1], [5, 5]], [[0.75], [0.25]]).mean == 2.0
    assert mixed([NeedLaw.of_slots([0]), NeedLaw.of_slots([4])], [1.0, 3.0]).mean == 3.0
    assert NeedLaw.of_slots([5, 7]).scaled(1.2).gpus.tolist() == [6.0, 9.0]


@pytest.mark.parametrize("needed", [[], [math.nan], [-1.0], [math.inf], [1e9]])
def test_needs_that_mean_nothing_are_refused(needed: list[float]):
    with pytest.raises(InvalidInput):
        NeedLaw.of_slots(needed)


def test_offers_that_mean_nothing_are_refused():
    with pytest.raises(InvalidInput, match="the price of 1 y must be above 0"):
        market(-0.1)
    with pytest.raises(InvalidInput, match="3"):
        best_mix([DAY_AND_NIGHT] * 2, market(0.5, 0.4))
    with pytest.raises(InvalidInput, match=r"1\.5 years"):
        best_mix([DAY_AND_NIGHT], PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=offers_of([1.5], [0.5])))
