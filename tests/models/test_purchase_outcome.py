"""When a commitment has paid for itself, and what it costs where demand turns out another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.need_law import NeedLaw
from models.purchase_mix import Purchase, best_mix
from models.purchase_offers import ExistingCommitment, PurchaseOptions, ReservedOffer, SpotOffer
from models.purchase_outcome import payback, regret
from models.purchase_times import MOST_ENDS, Start

YEARS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=20), min_size=3, max_size=3)
LAWS = YEARS.map(lambda years: [NeedLaw.of_slots(needs) for needs in years])
SPOT = SpotOffer(price_per_gpu_hour=0.3, greatest_share=0.4, extra_hours=0.1)


@st.composite
def markets(draw: st.DrawFn) -> PurchaseOptions:
    offers = [
        ReservedOffer(
            name=f"{term} y",
            term_years=term,
            price_per_gpu_hour=draw(st.floats(0.1, 1.2)),
            upfront_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
        )
        for term in (0.5, 1.0, 3.0)
    ]
    return PurchaseOptions(
        on_demand_per_gpu_hour=1.0,
        reserved=tuple(offers),
        spot=draw(st.sampled_from([None, SPOT])),
        replica_gpus=draw(st.sampled_from([1, 1, 4])),
    )


@given(LAWS, markets())
def test_what_is_worth_buying_pays_back_within_its_term(laws: list[NeedLaw], options: PurchaseOptions):
    for purchase in best_mix(laws, options).purchases:
        found, months = payback(purchase), 12.0 * min(purchase.offer.term_years, purchase.years)
        assert found.commitment_months is not None
        assert found.upfront_months is not None
        assert 0.0 <= found.upfront_months <= found.commitment_months + 1e-6 <= months + 2e-6


@given(LAWS, markets(), st.sampled_from([0.8, 1.0, 1.2]), st.lists(st.integers(0, 10), max_size=8))
def test_no_decision_is_regretted_less_than_the_best_and_the_best_not_at_all(
    laws: list[NeedLaw], options: PurchaseOptions, factor: float, before: list[int]
):
    existing = [ExistingCommitment(gpus=gpus, days_left=101 * (1 + place)) for place, gpus in enumerate(before)]
    mix = best_mix(laws, options, existing)
    found = regret(mix, [law.scaled(factor) for law in laws], existing)
    assert found.cost_per_hour >= found.best_per_hour - 1e-9
    if factor == 1.0:
        assert found.regret_per_hour == pytest.approx(0.0, abs=1e-6)
        assert found.best_per_hour == pytest.approx(mix.cost_per_hour)
        assert found.cost_per_hour == pytest.approx(mix.cost_per_hour)


def bought(offer: ReservedOffer, *avoided_per_hour: float, gpus: int = 1) -> Purchase:
    years = float(len(avoided_per_hour))
    return Purchase(offer=offer, start=Start(), years=years, gpus=gpus, avoided_per_hour=avoided_per_hour)


def test_payback_by_hand():
    all_upfront = ReservedOffer(name="3 y", term_years=3.0, price_per_gpu_hour=0.5, upfront_share=1.0)
    found = payback(bought(all_upfront, 10.0, 10.0, 10.0, gpus=10))
    assert found.committed == found.upfront == pytest.approx(3 * 8760 * 5.0)
    assert found.upfront_months == found.commitment_months == pytest.approx(18.0)
    half = ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=0.6, upfront_share=0.5)
    found = payback(bought(half, 0.9))
    assert found.upfront_months == pytest.approx(12 * 0.3 / 0.6)
    assert found.commitment_months == pytest.approx(12 * 0.6 / 0.9)
    monthly = ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=0.6)
    assert payback(bought(monthly, 0.9)).upfront_months == 0.0


def test_a_commitment_that_is_hardly_used_never_pays_back():
    offer = ReservedOffer(name="3 y", term_years=3.0, price_per_gpu_hour=0.5, upfront_share=0.2)
    found = payback(bought(offer, 1.0, 0.4, 0.0))
    assert (found.upfront_months, found.commitment_months) == (pytest.approx(12 * 0.3 / 0.6), None)
    assert payback(bought(offer, 0.4, 0.4, 0.4)).upfront_months is None
    half_a_year = ReservedOffer(name="6 m", term_years=0.5, price_per_gpu_hour=0.6)
    assert payback(bought(half_a_year, 0.5)).commitment_months is None  # it would have after 0.6 of a year


def test_regret_by_hand():
    options = PurchaseOptions(
        on_demand_per_gpu_hour=1.0,
        reserved=(ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=0.6),),
    )
    law = NeedLaw.of_slots([10])
    mix = best_mix([law], options)
    fewer, more = (regret(mix, [law.scaled(factor)]) for factor in (0.8, 1.2))
    assert (fewer.cost_per_hour, fewer.best_per_hour) == (pytest.approx(6.0), pytest.approx(4.8))
    assert (fewer.idle_gpus, fewer.short_gpus) == (pytest.approx(2.0), 0.0)
    assert (more.cost_per_hour, more.best_per_hour) == (pytest.approx(8.0), pytest.approx(7.2))
    assert (more.idle_gpus, more.short_gpus) == (0.0, pytest.approx(2.0))
    assert more.regret == pytest.approx(0.8 * 8760)


def test_what_is_bought_today_takes_no_day_of_purchase_from_what_was_bought_before():
    options = PurchaseOptions(
        on_demand_per_gpu_hour=1.0,
        reserved=(ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=0.6),),
    )
    laws = [NeedLaw.of_slots([need]) for need in (70, 28, 28)]
    existing = [ExistingCommitment(gpus=4, days_left=400 + 40 * place) for place in range(MOST_ENDS)]
    mix = best_mix(laws, options, existing)
    assert mix.bought_now == {"1 y": 46}
    assert {each.start.days for each in mix.purchases} > {each.days_left for each in existing}
    assert regret(mix, laws, existing).regret_per_hour == pytest.approx(0.0, abs=1e-9)


def test_a_long_commitment_is_regretted_longer_than_a_short_one():
    laws = [NeedLaw.of_slots([10])]
    long, short = (
        PurchaseOptions(
            on_demand_per_gpu_hour=1.0,
            reserved=(
                ReservedOffer(name="1 y", term_years=1.0, price_per_gpu_hour=one),
                ReservedOffer(name="3 y", term_years=3.0, price_per_gpu_hour=three),
            ),
        )
        for one, three in ((0.7, 0.6), (0.6, 0.7))
    )
    other = [laws[0].scaled(0.8)]
    assert regret(best_mix(laws, long), other).regret == pytest.approx(3 * 2 * 0.6 * 8760)
    assert regret(best_mix(laws, short), other).regret == pytest.approx(1 * 2 * 0.6 * 8760)


def test_another_demand_for_other_years_is_refused():
    law = NeedLaw.of_slots([10])
    with pytest.raises(InvalidInput, match="2 years, the mix for 1"):
        regret(best_mix([law], PurchaseOptions(on_demand_per_gpu_hour=1.0)), [law, law])
