"""The mix of least cost is the one that trying every mix finds, slot by slot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import purchase_programme
from models.errors import InvalidInput
from models.need_law import NeedLaw, mixed
from models.purchase_mix import PurchaseMix, best_mix
from models.purchase_offers import ExistingCommitment, PurchaseOptions, ReservedOffer, SpotOffer

YEAR = 365.25
PRICES = st.sampled_from([0.25, 0.5, 0.6, 0.75, 1.0, 1.3])  # of 1 on demand: many ties with shares of 4 slots
REPLICA_GPUS = st.sampled_from([1, 1, 2, 3])
SPOT = st.none() | st.builds(
    SpotOffer,
    price_per_gpu_hour=st.sampled_from([0.2, 0.5, 0.9, 1.2]),
    greatest_share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    extra_hours=st.sampled_from([0.0, 0.2]),
)
QUARTERS = [0.25 * YEAR, YEAR, 1.5 * YEAR, math.inf]


def needs_to(most: int) -> st.SearchStrategy[list[int]]:
    """Replicas slot by slot."""
    return st.lists(st.integers(0, most), min_size=1, max_size=6)


def commitments(most: int) -> st.SearchStrategy[list[ExistingCommitment]]:
    return st.lists(
        st.builds(ExistingCommitment, gpus=st.integers(0, 3), days_left=st.sampled_from(QUARTERS)), max_size=most
    )


def offers_of(terms: Sequence[float], prices: Sequence[float]) -> tuple[ReservedOffer, ...]:
    return tuple(
        ReservedOffer(name=f"{term:g} y, {number}", term_years=term, price_per_gpu_hour=price)
        for number, (term, price) in enumerate(zip(terms, prices, strict=True))
    )


def running_cost(needed: int, committed: int, options: PurchaseOptions) -> float:
    """The cheapest way through one slot, every number of spot replicas tried. In replicas."""
    beyond = max(needed - committed, 0)
    spot = options.spot
    most = min(beyond, math.floor(needed * spot.greatest_share)) if spot else 0
    return options.replica_gpus * min(
        (beyond - taken) * options.on_demand_per_gpu_hour
        + (taken * spot.price_per_gpu_hour * (1.0 + spot.extra_hours) if spot else 0.0)
        for taken in range(most + 1)
    )


@dataclass(frozen=True)
class Referee:
    """Every mix of whole replicas, quarter by quarter of the horizon. `years` holds the replicas that slots need."""

    years: Sequence[Sequence[int]]
    options: PurchaseOptions
    existing: Sequence[ExistingCommitment] = ()

    @property
    def quarters(self) -> list[float]:
        return [quarter / 4 for quarter in range(4 * len(self.years))]

    def covers(self, offer: ReservedOffer, begin: float) -> list[float]:
        return [float(begin <= time < begin + max(1.0, offer.term_years)) for time in self.quarters]

    @property
    def ways(self) -> list[tuple[ReservedOffer, float]]:
        """Every offer on every day on which its term may begin."""
        days = {0.0, *(each.days_left / YEAR for each in self.existing)}
        begins = {day + year for day in days for year in range(len(self.years)) if day + year < len(self.years)}
        return [(offer, begin) for offer in self.options.reserved for begin in sorted(begins)]

    def costs(self, ways: Sequence[tuple[ReservedOffer, float]], counts: np.ndarray) -> np.ndarray:
        """Of each row of `counts` replicas, a column a way; a mean of the horizon."""
        covers = np.array([self.covers(*way) for way in ways]).reshape(len(ways), len(self.quarters))
        prices = np.array([offer.price_per_gpu_hour for offer, _ in ways]) * self.options.replica_gpus
        held = (counts @ covers).astype(int)
        total = counts @ (prices * covers.sum(axis=1))
        for place, time in enumerate(self.quarters):
            stand = sum(each.gpus for each in self.existing if each.days_left > time * YEAR)
            needs, before = self.years[int(time)], stand // self.options.replica_gpus
            running = [
                sum(running_cost(need, before + more, self.options) for need in needs) / len(needs)
                for more in range(int(held[:, place].max()) + 1)
            ]
            total = total + np.array(running)[held[:, place]]
        return total / len(self.quarters)

    @property
    def least(self) -> float:
        """Of all mixes."""
        each = (max(map(max, self.years)) + 1,) * len(self.ways)
        counts = np.indices(each).reshape(len(self.ways), math.prod(each)).T
        return float(self.costs(self.ways, counts).min())

    def cost_of(self, mix: PurchaseMix) -> float:
        ways = [(each.offer, each.start.time) for each in mix.purchases]
        gpus = np.array([[each.gpus for each in mix.purchases]]).reshape(1, -1)
        assert not np.any(gpus % self.options.replica_gpus)
        return float(self.costs(ways, gpus // self.options.replica_gpus)[0])


def expect_no_mix_is_cheaper(
    years: Sequence[Sequence[int]], options: PurchaseOptions, existing: Sequence[ExistingCommitment] = ()
) -> PurchaseMix:
    referee = Referee(years, options, existing)
    laws = [NeedLaw.of_slots(np.array(needs) * options.replica_gpus) for needs in years]
    mix = best_mix(laws, options, existing)
    assert mix.cost_per_hour == pytest.approx(referee.least)
    assert mix.cost_per_hour == pytest.approx(referee.cost_of(mix))
    assert mix.saving_per_hour >= -1e-12
    assert all(year.most_spot_gpus % options.replica_gpus == 0 for year in mix.years)
    assert all(year.most_on_demand_gpus % options.replica_gpus == 0 for year in mix.years)
    return mix


@given(
    needs=needs_to(3),
    prices=st.lists(PRICES, max_size=2),
    spot=SPOT,
    existing=commitments(1),
    replica_gpus=REPLICA_GPUS,
)
def test_no_mix_of_one_year_is_cheaper(
    needs: list[int],
    prices: list[float],
    spot: SpotOffer | None,
    existing: list[ExistingCommitment],
    replica_gpus: int,
):
    reserved = offers_of([1.0, 0.5][: len(prices)], prices)
    expect_no_mix_is_cheaper(
        [needs],
        PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=reserved, spot=spot, replica_gpus=replica_gpus),
        existing,
    )


@given(
    years=st.lists(needs_to(2), min_size=2, max_size=2) | st.lists(needs_to(1), min_size=3, max_size=3),
    prices=st.tuples(PRICES, PRICES),
    spot=SPOT,
    existing=commitments(2),
    replica_gpus=REPLICA_GPUS,
)
@example(
    years=[[1], [1], [1]],
    prices=(0.75, 0.5),
    spot=None,
    existing=[ExistingCommitment(gpus=1, days_left=0.25 * YEAR)],
    replica_gpus=1,
)
def test_no_mix_of_two_terms_is_cheaper_where_need_and_commitments_change_over_the_years(
    years: list[list[int]],
    prices: tuple[float, float],
    spot: SpotOffer | None,
    existing: list[ExistingCommitment],
    replica_gpus: int,
):
    reserved = offers_of([1.0, float(len(years))], prices)
    expect_no_mix_is_cheaper(
        years,
        PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=reserved, spot=spot, replica_gpus=replica_gpus),
        existing,
    )


@settings(max_examples=30)
@given(years=st.lists(needs_to(1), min_size=3, max_size=3), prices=st.tuples(PRICES, PRICES, PRICES))
@example(years=[[1], [0], [1]], prices=(0.75, 0.25, 0.5))
def test_no_mix_of_terms_that_overlap_is_cheaper(years: list[list[int]], prices: tuple[float, ...]):
    expect_no_mix_is_cheaper(
        years, PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0, 2.0, 3.0], prices))
    )


def test_two_gpus_for_two_years_each_a_year_apart():
    reserved = offers_of([2.0], [0.5])
    options = PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=reserved)
    mix = expect_no_mix_is_cheaper([[1], [2], [1], [0]], options)
    assert [(each.start.years, each.gpus) for each in mix.purchases] == [(0, 1), (1, 1)]


def test_nothing_is_bought_on_top_of_what_is_committed_until_that_ends():
    until = [ExistingCommitment(gpus=4, days_left=304)]
    mix = best_mix([NeedLaw.of_slots([4])], market(0.8, 0.5), until)
    assert mix.bought_now == {"1 y": 0, "3 y": 0}
    (purchase,) = mix.purchases
    assert (purchase.offer.name, purchase.start.days, purchase.start.years, purchase.gpus) == ("3 y", 304, 0, 4)
    assert mix.years[0].idle_gpus == 0.0
    assert mix.cost_per_hour == pytest.approx(4 * 0.5 * (3 - 304 / YEAR) / 3)
    assert mix.reserved_per_hour == pytest.approx(mix.cost_per_hour)


def test_days_on_which_most_gpus_end_are_taken_where_there_are_many():
    ends = [ExistingCommitment(gpus=1 + number, days_left=20 + 40 * number) for number in range(20)]
    mix = best_mix([NeedLaw.of_slots([210])], market(0.8, 0.5), ends)
    days = [each.start.days for each in mix.purchases]
    assert set(days) - {0.0} == {20.0 + 40 * number for number in range(14, 20)}
    assert mix.years[1].existing_gpus > 0.0
    assert mix.cost_per_hour + mix.saving_per_hour == pytest.approx(mix.all_on_demand_per_hour)


@given(
    years=st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=9), min_size=3, max_size=3),
    prices=st.tuples(st.floats(0.3, 1.0), st.floats(0.3, 1.0)),
    ends=st.lists(st.integers(1, 1095), min_size=1, max_size=4),
)
@settings(max_examples=20)
def test_groups_of_gpus_come_to_what_single_ones_do(years: list[list[int]], prices: tuple[float, ...], ends: list[int]):
    laws = [NeedLaw.of_slots(needs) for needs in years]
    until = [ExistingCommitment(gpus=20, days_left=day) for day in ends]
    found = []
    for groups in (1, 8, 200):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(purchase_programme, "FEW", groups)
            found.append(best_mix(laws, market(*prices), until).cost_per_hour)
    assert found == pytest.approx([found[-1]] * 3)


def test_replicas_are_bought_whole():
    spot = SpotOffer(price_per_gpu_hour=0.25, greatest_share=0.4)
    options = PurchaseOptions(on_demand_per_gpu_hour=1.0, reserved=offers_of([1.0], [0.55]), spot=spot, replica_gpus=4)
    mix = best_mix([NeedLaw.of_slots([12] * 12 + [28] * 12)], options, [ExistingCommitment(gpus=6)])
    year = mix.years[0]
    assert mix.bought_now == {"1 y, 0": 8}  # 6 committed ones hold one replica; of 7 replicas two may be spot
    assert (year.most_spot_gpus, year.most_on_demand_gpus) == (8.0, 8.0)
    assert year.idle_gpus == pytest.approx(2.0)


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
    assert [(each.offer.name, each.start.years, each.gpus) for each in mix.purchases] == [
        ("3 y", year, 10) for year in range(3)
    ]  # of those of later years what lies inside the three years counts
    assert mix.cost_per_hour == pytest.approx(0.5 * (10 + 20 + 30) / 3)
    shrinking = best_mix([NeedLaw.of_slots([need]) for need in (30, 20, 10)], market(0.7, 0.5))
    assert shrinking.bought_now == {"1 y": 20, "3 y": 10}  # 3·0.5 > 2·0.7


def test_what_commitments_spare_is_told_apart_by_the_need_that_they_carry():
    mix = best_mix([NeedLaw.of_slots(needs) for needs in ([8, 10], [6, 8], [6, 8])], market(0.4, 0.35))
    assert [(each.offer.name, each.start.years, each.gpus, each.avoided_per_hour) for each in mix.purchases] == [
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
    assert [(each.start.days, each.gpus) for each in half.purchases] == [(0.5 * YEAR, 10)]
    assert half.cost_per_hour == pytest.approx(3.0)


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
