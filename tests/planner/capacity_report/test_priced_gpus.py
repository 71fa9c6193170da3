"""Prices through a period: every moment has one, or a hole with a name; discounts, currencies and offers."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.capacity_report.gpu_offers import offers_for
from planner.capacity_report.period import parse_period
from planner.capacity_report.priced_gpus import PricedStretch, PriceHole, price_lines, priced_stretches
from planner.price_book import PriceBook, load_prices
from planner.price_fields import Pricing
from planner.price_place import Place

H100 = "H100-SXM5-80GB"
HERE = Place(cloud="aws", region="us-east-1", cluster="us-1", team="chat")
BERLIN = ZoneInfo("Europe/Berlin")


def row(amount: float | None, *, pricing: str = "on_demand", **fields):
    base = {"gpu": H100, "cloud": "aws", "region": "us-east-1", "asOf": "2026-10-01", "source": "list"}
    priced = {} if amount is None else {"perGpuHour": amount}
    return {**base, "pricing": pricing, **priced, **fields}


def book(*prices, **spec) -> PriceBook:
    return PriceBook.model_validate(
        {
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "PriceBook",
            "metadata": {"name": "ours"},
            "spec": {"asOf": "2026-10-01", "prices": prices, **spec},
        }
    )


def october(prices: PriceBook, *, place: Place = HERE, currency: str = "USD", zone=UTC):
    return priced_stretches(
        prices, H100, place, start=datetime(2026, 10, 1, tzinfo=zone), end=datetime(2026, 11, 1, tzinfo=zone),
        currency=currency,
    )  # fmt: skip


def rate(from_: str, to: str, factor: float):
    return {"from": from_, "to": to, "rate": factor, "asOf": "2026-10-01", "source": "ECB"}


def test_a_price_that_changes_inside_the_period_changes_at_midnight_of_its_zone():
    found = october(book(row(6.0, until="2026-10-25"), row(5.0, **{"from": "2026-10-26"})), zone=BERLIN)
    assert [(each.start.isoformat(), type(each).__name__) for each in found] == [
        ("2026-09-30T22:00:00+00:00", "PricedStretch"),
        ("2026-10-24T22:00:00+00:00", "PriceHole"),  # the day on which clocks go back has 25 hours
        ("2026-10-25T23:00:00+00:00", "PricedStretch"),
    ]
    assert found[-1].end == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert found[1].told == (
        "no price of H100-SXM5-80GB (on_demand, cloud aws, region us-east-1, cluster us-1) in ours on these days; it "
        "has one until 2026-10-25, one from 2026-10-26 (until is the first day without it)"
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_days_at_the_ends_of_the_calendar_are_days_like_others(zone):
    always = row(4.0, **{"from": "0001-01-01"}, until="9999-12-31")
    (found,) = october(book(always), zone=ZoneInfo(zone))
    assert found.list_per_h == 4


def test_where_a_price_is_from_is_told_with_every_step():
    prices = book(
        row(4.0),
        currency="EUR",
        exchangeRates=[rate("EUR", "USD", 1.1)],
        discounts=[
            {"percent": 10, "cloud": "aws", "source": "contract 7"},
            {"percent": 50, "team": "chat", "source": "the board"},
            {"percent": 90, "team": "search", "source": "not ours"},
            {"percent": 90, "pricing": "spot", "source": "not ours"},
            {"percent": 90, "gpu": "L4-24GB", "source": "not ours"},
            {"percent": 90, "cluster": "eu-1", "source": "not ours"},
            {"percent": 90, "until": "2026-10-01", "source": "over"},
        ],
    )
    (found,) = october(prices)
    assert (found.list_per_h, found.discount, found.effective_per_h) == (
        Decimal("4.40"), Decimal("0.55"), Decimal("1.98"),
    )  # fmt: skip
    assert found.told == (
        "4.0 EUR on_demand, aws us-east-1, as of 2026-10-01 (list); 10 % off (contract 7); 50 % off (the board); "
        "1 EUR is 1.1 USD, as of 2026-10-01 (ECB)"
    )


def test_of_several_discounts_the_book_may_say_that_the_largest_counts():
    discounts = [{"percent": 10, "source": "a"}, {"percent": 20, "source": "b"}]
    (found,) = october(book(row(4.0), discounts=discounts, discountsCombine="largest"))
    assert found.effective_per_h == Decimal("3.2")
    assert "the larger of them counts (20 %)" in found.told


def test_rates_are_neither_turned_round_nor_chained():
    rates = [rate("USD", "GBP", 0.8), rate("EUR", "USD", 1.1)]
    (hole,) = october(book(row(4.0), exchangeRates=rates), currency="EUR")
    assert isinstance(hole, PriceHole)
    assert "the one from EUR to USD is not turned round" in hole.told
    (hole,) = october(book(row(4.0), currency="EUR", exchangeRates=rates), currency="GBP")
    assert hole.told.endswith("in ours: no exchange rate from EUR to GBP (state it under exchangeRates)")


def test_the_row_that_names_the_very_place_goes_before_a_cheaper_general_one():
    general = {**row(1.0), "region": None}
    assert october(book(general, row(4.0)))[0].list_per_h == 4
    assert october(book(general))[0].list_per_h == 1
    other_cluster = row(0.5, cluster="eu-1")
    assert october(book(other_cluster, row(4.0), row(5.0, cluster="US-1")))[0].list_per_h == 5


def test_what_ships_has_no_price_of_gcp_and_none_reserved():
    (hole,) = october(load_prices(None), place=Place(cloud="gcp"))
    assert isinstance(hole, PriceHole)
    assert "HOST PART ONLY" in hole.told
    offers = offers_for(load_prices(None), H100, HERE, on=date(2026, 10, 1), currency="USD")
    assert [each.pricing.value for each in offers.found] == ["on_demand", "on_demand", "spot"]
    assert [each.partition(" in ")[0] for each in offers.holes] == [
        f"no price of {H100} (reserved for {years} y, cloud aws, region us-east-1, cluster us-1)" for years in (1, 3)
    ]


def test_a_reservation_is_paid_at_the_start_as_far_as_it_says():
    prices = book(
        row(4.0),
        row(3.0, pricing="reserved", termYears=1, upfront="none"),
        row(2.8, pricing="reserved", termYears=1, upfront="partial", upfrontPercent=50),
        row(2.0, pricing="reserved", termYears=3, upfront="all"),
        row(2.5, pricing="reserved", source="says not for how long"),
    )
    offers = offers_for(prices, H100, HERE, on=date(2026, 10, 1), currency="USD")
    assert [(each.term_years, each.per_h, each.upfront, each.hourly) for each in offers.found] == [
        (None, 4, 0, 4),
        (1, Decimal("2.8"), Decimal(12264), Decimal("1.4")),
        (1, 3, 0, 3),
        (3, 2, 52560, 0),
    ]
    assert offers.of(Pricing.RESERVED, 3).upfront == 52560
    assert [each.split(",")[0] for each in offers.holes] == [f"no price of {H100} (spot"]


def test_a_term_that_is_missing_is_no_missing_exchange_rate():
    prices = book(row(4.0), row(3.0, pricing="reserved", termYears=1), row(2.5, pricing="reserved", source="no term"))
    offers = offers_for(prices, H100, HERE, on=date(2026, 10, 1), currency="USD")
    assert offers.holes[0] == (
        f"no price of {H100} (reserved for 3 y, cloud aws, region us-east-1, cluster us-1) in ours; "
        "it has reserved prices for 1 y, a reserved price that names no termYears"
    )
    in_euro = offers_for(prices, H100, HERE, on=date(2026, 10, 1), currency="EUR")
    assert "no exchange rate from USD to EUR" in in_euro.holes[1]
    assert "exchange rate" not in in_euro.holes[2]


def test_lines_of_the_report_say_the_same():
    period = parse_period("2026-10", time_zone="Europe/Berlin")
    prices = book(row(6.0, until="2026-10-20"), discounts=[{"percent": 25, "source": "a"}])
    lines = price_lines(prices, cluster="us-1", gpu=H100, place=HERE, period=period, currency="USD")
    assert [(each.key, each.cloud, each.region, each.list_price, each.discount, each.effective) for each in lines] == [
        (f"us-1/{H100}/1", "aws", "us-east-1", 6.0, 0.25, 4.5),
        (f"us-1/{H100}/2", "", "", None, 0.0, None),
    ]
    assert (lines[0].start_s, lines[0].end_s, lines[1].end_s) == (period.start_s, lines[1].start_s, period.end_s)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start": datetime(2026, 10, 1)}, "time zone"),  # noqa: DTZ001
        ({"end": datetime(2026, 9, 1, tzinfo=UTC)}, "has no time in it"),
        ({"currency": "EURO"}, "'EURO' is no currency of ISO 4217"),
    ],
)
def test_a_period_or_currency_that_means_nothing_is_refused(change, said):
    usual = {"start": datetime(2026, 10, 1, tzinfo=UTC), "end": datetime(2026, 11, 1, tzinfo=UTC), "currency": "USD"}
    with pytest.raises(InvalidInput, match=said):
        priced_stretches(book(row(1.0)), H100, HERE, **{**usual, **change})


days = st.integers(-5, 40).map(lambda after: date(2026, 10, 1) + timedelta(days=after))
zones = st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")])
amounts = st.decimals(0, 100, places=4)


@st.composite
def dated_books(draw) -> PriceBook:
    """Rows of one key that follow one another with holes, and discounts that begin and end anywhere."""
    edges = sorted(draw(st.sets(days, min_size=2, max_size=8)))
    kept = [pair for pair in pairwise(edges) if draw(st.booleans())] or [(edges[0], edges[1])]
    rows = [row(float(draw(amounts)), **{"from": begin}, until=end) for begin, end in kept]
    discounts = [
        {"percent": draw(st.integers(0, 100)), "from": begin, "until": begin + timedelta(days=draw(st.integers(1, 20))),
         "source": "s"}
        for begin in draw(st.lists(days, max_size=3))
    ]  # fmt: skip
    return book(*rows, discounts=discounts)


@given(dated_books(), zones)
def test_stretches_cover_the_period_without_gap_or_overlap_and_say_the_days_price(prices, zone):
    found = october(prices, zone=zone)
    assert found[0].start == datetime(2026, 10, 1, tzinfo=zone)
    assert found[-1].end == datetime(2026, 11, 1, tzinfo=zone)
    assert all(one.end == next_.start and one.start < one.end for one, next_ in pairwise(found))
    for day in (date(2026, 10, 1) + timedelta(days=each) for each in range(31)):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC)
        (at,) = [each for each in found if each.start <= noon < each.end]
        held = [each for each in prices.rows if each.holds_on(day)]
        assert isinstance(at, PricedStretch) == bool(held)
        if held:
            left = Decimal(1)
            for each in prices.spec.discounts:
                left *= 1 - each.fraction * each.holds_on(day)
            assert at.list_per_h == held[0].amount
            assert at.effective_per_h == pytest.approx(held[0].amount * left)


@given(amounts, st.decimals("0.0001", 1000, places=4))
@example(Decimal("3.4309"), Decimal("0.9213"))
def test_another_currency_scales_prices_exactly(amount, factor):
    discounts = [{"percent": 12.5, "source": "s"}]
    prices = book(row(float(amount)), exchangeRates=[rate("USD", "EUR", float(factor))], discounts=discounts)
    (own,), (other,) = october(prices), october(prices, currency="EUR")
    assert other.list_per_h == own.list_per_h * factor
    assert other.effective_per_h == own.effective_per_h * factor
    assert other.discount == own.discount


@given(st.permutations([5, 12.5, 30, 99.9]))
def test_the_order_of_discounts_does_not_matter(percents):
    (found,) = october(book(row(4.0), discounts=[{"percent": each, "source": "s"} for each in percents]))
    assert found.discount == 1 - Decimal("0.95") * Decimal("0.875") * Decimal("0.7") * Decimal("0.001")
