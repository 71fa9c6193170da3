"""What is bought already is paid, held or not: every committed GPU-hour is in the account once, at its price."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity_report.committed_use import NOT_HELD
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.focus import focus_report
from planner.capacity_report.period import parse_period
from planner.capacity_report.priced_pools import priced_pools
from planner.capacity_report.spreadsheet import write_xlsx
from planner.fleet_file import FleetFile
from scripts.focus_check import check
from tests.planner.capacity_report.committed_fleet import (
    FEBRUARY,
    HOURS,
    POOL,
    commitment,
    held,
    mixed_report,
    reported,
)
from tests.planner.capacity_report.test_column_formula import expect_formulas_hold
from tests.planner.capacity_report.test_figures import priced
from tests.planner.capacity_report.workbook_reader import opened, rows_of_sheet


def not_held(report: CapacityReport):
    return [row for row in report.table("ledger").rows if row["service"] == NOT_HELD]


def expect_whole(report: CapacityReport) -> None:
    assert {row["difference"] for row in report.table("checks").rows} == {0.0}
    for table in report.tables:
        expect_formulas_hold(table)


def test_sixteen_committed_gpus_of_which_four_are_held_are_paid_whole():
    report = reported([held(4.0)], [commitment(16, 1.5)])
    expect_whole(report)
    (service, rest) = report.table("ledger").rows
    assert (service["price"], service["allocated_cost"]) == (1.5, HOURS * 4 * 1.5)
    assert (rest["service"], rest["team"], rest["price"]) == (NOT_HELD, "(none)", 1.5)
    assert rest["allocated_gpu_h"] == rest["idle_gpu_h"] == rest["over_provisioned_gpu_h"] == HOURS * 12
    assert report.table("ledger").total("allocated_cost") == HOURS * 16 * 1.5
    assert report.table("days").total("allocated_gpu_h") == HOURS * 16
    assert (rest["requests"], rest["needed_gpu_h"]) == (None, None)  # nobody asked for them
    assert report.table("holes").rows == ()
    assert not report.has("price_mix")


def test_what_is_held_beyond_the_commitment_is_paid_at_the_pools_price_slot_by_slot():
    gpus = np.where(np.arange(FEBRUARY.slots) < 100, 10.0, 2.0)
    report = reported([held(gpus), held(2.0, name="b")], [commitment(4, 1.0)])
    expect_whole(report)
    mix = report.table("price_mix").rows
    pool = "/".join(POOL)
    # For 100 hours 4 of 12 GPUs are committed ones, then all 4 of 4: of each service the same part.
    assert [(row["mix"], row["price_key"], row["price"]) for row in mix] == [
        (f"{pool} mix of a", f"{pool} commitment 1", 1.0),
        (f"{pool} mix of a", pool, 3.0),
        (f"{pool} mix of b", f"{pool} commitment 1", 1.0),
        (f"{pool} mix of b", pool, 3.0),
    ]
    rest = HOURS - 100
    assert [row["gpu_h"] for row in mix] == pytest.approx(
        [100 * 10 / 3 + rest * 2, 100 * 20 / 3, 100 * 2 / 3 + rest * 2, 100 * 4 / 3]
    )
    assert not_held(report) == []
    paid = [row["allocated_cost"] for row in report.table("ledger").rows]
    assert paid == pytest.approx([sum(row["cost"] for row in mix[at : at + 2]) for at in (0, 2)])
    assert report.table("ledger").total("allocated_cost") == pytest.approx(4 * HOURS + 100 * 8 * 3.0, rel=1e-12)


def test_a_commitment_without_a_price_is_a_hole_and_what_is_held_keeps_the_pools():
    report = reported([held(4.0)], [commitment(16, None)])
    expect_whole(report)
    (service, rest) = report.table("ledger").rows
    assert (service["price"], rest["allocated_gpu_h"], rest["allocated_cost"]) == (3.0, HOURS * 12, None)
    (hole,) = report.table("holes").rows
    assert (hole["what"], hole["hours"]) == ("price", HOURS)
    assert hole["text"] == (
        "a contract; what services hold of it is paid at the pool's price, what nobody holds is in no cost"
    )
    held_whole = reported([held(16.0)], [commitment(16, None)])
    assert [row["what"] for row in held_whole.table("holes").rows] == ["price"]  # the pool's price may be too much


def test_a_commitment_that_ends_inside_the_period_is_paid_until_then():
    report = reported([held(4.0)], [commitment(16, 1.0, until=date(2027, 2, 15))])
    expect_whole(report)
    first, second, rest = report.table("ledger").rows
    assert [(row["hours"], row["price"]) for row in (first, second, rest)] == [(336, 1.0), (336, 3.0), (336, 1.0)]
    assert rest["end"] == second["start"] == "2027-02-15T00:00:00Z"
    assert report.table("ledger").total("allocated_cost") == 336 * 16 * 1.0 + 336 * 4 * 3.0


def test_where_a_services_replicas_are_not_known_what_nobody_held_is_a_hole():
    gaps = np.full(FEBRUARY.slots, 2.0)
    gaps[10:30] = np.nan
    report = reported([held(gaps), held(4.0, name="b")], [commitment(16, 1.0)])
    expect_whole(report)
    (rest,) = not_held(report)
    assert (rest["allocated_gpu_h"], rest["replicas_unknown_h"]) == ((HOURS - 20) * 10, 20.0)
    holes = {hole["what"]: hole["hours"] for hole in report.table("holes").rows}
    assert holes == {"replicas": 20.0, "committed, not held": 20.0, "shares of commitments": 20.0}
    # Where those that are known hold all of it, nothing is left that nobody held.
    full = reported([held(gaps), held(16.0, name="b")], [commitment(16, 1.0)])
    assert [hole["what"] for hole in full.table("holes").rows] == ["replicas", "shares of commitments"]
    blind = reported([held(np.nan)], [commitment(16, 1.0)])
    expect_whole(blind)
    assert [row["allocated_gpu_h"] for row in blind.table("ledger").rows] == [None, None]


def test_where_a_services_replicas_are_not_known_the_others_pay_the_pools_price_and_a_hole_says_so():
    gaps = np.full(FEBRUARY.slots, 12.0)
    gaps[10:30] = np.nan
    report = reported([held(gaps), held(4.0, name="b")], [commitment(8, 1.0)])
    expect_whole(report)
    # In the 20 hours nobody knows which part of the 8 was b's; in the others it is a half of its 4.
    assert costs(report)["b"] == pytest.approx((HOURS - 20) * 4 * 2.0 + 20 * 4 * 3.0)
    (hole,) = [row for row in report.table("holes").rows if row["what"] == "shares of commitments"]
    assert (hole["subject"], hole["hours"], hole["start"]) == ("/".join(POOL), 20.0, "2027-02-01T10:00:00Z")
    assert hole["text"] == (
        "the replicas of a are not known in these hours, nor is which part of what is committed was whose: the 80.0 "
        "GPU-hours that others held are paid at the pool's price, as though nothing were committed; give replicas, "
        "0 where none ran"
    )
    # Once a commitment has ended there is nothing to share; one without a price changes nobody's cost.
    ended = reported([held(gaps), held(4.0, name="b")], [commitment(8, 1.0, until=date(2027, 2, 1))])
    unpriced = reported([held(gaps), held(4.0, name="b")], [commitment(8, None)])
    for each in (ended, unpriced):
        assert "shares of commitments" not in {row["what"] for row in each.table("holes").rows}


def test_commitments_of_a_pool_that_nobody_uses_are_paid_too():
    report = reported([], [commitment(8, 2.0), commitment(4, 5.0, at=2)])
    expect_whole(report)
    assert [row["allocated_cost"] for row in not_held(report)] == [HOURS * 8 * 2.0, HOURS * 4 * 5.0]


def test_hours_that_cannot_be_shared_and_have_no_price_leave_the_others_theirs():
    gaps = np.full(FEBRUARY.slots, 2.0)
    gaps[10:30] = np.nan
    report = reported([held(gaps), held(4.0, name="b")], [commitment(8, 1.0)], amount=None)
    expect_whole(report)
    assert costs(report)["b"] == (HOURS - 20) * 4 * 1.0
    lines = [(row["hours"], row["price"]) for row in report.table("ledger").rows if row["service"] == "b"]
    assert lines == [(10.0, 1.0), (20.0, None), (HOURS - 30, 1.0)]
    assert {row["what"] for row in report.table("holes").rows} >= {"price", "shares of commitments"}


def test_a_commitment_on_which_no_workload_runs_is_told_beside_its_line_with_what_there_is():
    stray = replace(commitment(8, 2.0), cluster="eu-2", gpu="A100", name="eu-2/A100 commitment 1")
    report = reported([held(4.0), held(2.0, name="b", cluster="eu-9")], [stray, commitment(4, 1.0)])
    expect_whole(report)
    (hole,) = report.table("holes").rows
    assert (hole["subject"], hole["what"], hole["hours"]) == (stray.name, "commitment", None)
    gpu = POOL[1]
    assert hole["text"] == (
        f"no workload runs on A100 in cluster eu-2: are the names right? there are {gpu} in eu-9, {gpu} in {POOL[0]}; "
        "as it stands, nobody holds these GPUs"
    )
    assert "there are none" in reported([], [stray]).table("holes").rows[0]["text"]


def test_several_commitments_are_held_in_proportion():
    report = reported([held(6.0)], [commitment(8, 1.0), commitment(4, 4.0, at=2)])
    expect_whole(report)
    assert [row["gpu_h"] for row in report.table("price_mix").rows] == [HOURS * 4, HOURS * 2]
    assert [row["allocated_gpu_h"] for row in not_held(report)] == [HOURS * 4, HOURS * 2]


def test_teams_with_prices_of_their_own_share_the_commitment_by_what_they_hold():
    records = [held(6.0), held(2.0, name="b", team="b")]
    prices = priced(records, 3.0, FEBRUARY)
    prices["b"] = tuple(replace(line, key=f"{line.key} for b", discount=0.5) for line in prices["b"])
    report = reported(records, [commitment(4, 1.0)], prices=prices)
    expect_whole(report)
    assert [row["price"] for row in report.table("ledger").rows] == [2.0, 1.25]


def costs(report: CapacityReport) -> dict[str, float]:
    """By service."""
    return {row["service"]: row["allocated_cost"] or 0.0 for row in report.table("by_service").rows}


def test_a_team_pays_nothing_for_what_another_held_beyond_the_commitment_in_another_month():
    summer = parse_period("2026-Q3")
    july = np.arange(summer.slots) < 31 * 24
    alpha = held(np.where(july, 4.0, 0.0), name="alpha", team="alpha", period=summer)
    beta = held(np.where(july, 0.0, 12.0), name="beta", team="beta", period=summer)
    report = reported([alpha, beta], [commitment(4, 1.0, period=summer)], period=summer)
    expect_whole(report)
    assert costs(report) == {"alpha": 744 * 4 * 1.0, "beta": pytest.approx(1464 * (4 * 1.0 + 8 * 3.0))}


def test_in_each_slot_every_service_has_the_same_part_of_what_is_committed():
    january = parse_period("2027-01")
    mornings = np.arange(january.slots) % 31 < 15  # 360 hours
    records = [held(np.where(mornings, 1.0, 3.0), period=january), held(1.0, name="b", period=january)]
    report = reported(records, [commitment(2, 1.0, period=january)], period=january)
    expect_whole(report)
    assert costs(report) == pytest.approx({"a": 360 * 1 + 384 * 3 * 2.0, "b": 360 * 1 + 384 * 2.0})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=3), st.integers(1, 30), st.integers(2, 88))
def test_months_add_up_to_the_quarter_and_a_cut_at_equal_prices_changes_nothing(most, gpus, days):
    quarter, rng = parse_period("2027-Q1"), np.random.default_rng(1)
    gpus_held = {f"s{at}": each * rng.uniform(0.0, 1.0, quarter.slots) ** 3 for at, each in enumerate(most)}
    for values in gpus_held.values():
        values[rng.uniform(size=quarter.slots) < 0.02] = np.nan

    def account(name: str, cut_s: float | None = None) -> dict[str, float]:
        period = parse_period(name)
        first = quarter.slot_of(period.start_s)
        records = [held(each[first : first + period.slots], name=name, period=period)
                   for name, each in gpus_held.items()]  # fmt: skip
        made = commitment(gpus, 1.0, period=period)
        if cut_s is not None:
            (line,) = made.lines
            halves = replace(line, key=f"{line.key}/1", end_s=cut_s), replace(line, key=f"{line.key}/2", start_s=cut_s)
            made = replace(made, lines=halves)
        return costs(reported(records, [made], period=period))

    whole = account("2027-Q1")
    months = [account(f"2027-0{month}") for month in (1, 2, 3)]
    cut = account("2027-Q1", quarter.start_s + days * 86400.0)
    for name, cost in whole.items():
        assert sum(each.get(name, 0.0) for each in months) == pytest.approx(cost, rel=1e-8)
        assert cut[name] == pytest.approx(cost, rel=1e-8)


holdings = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.sampled_from([0.0, 0.05]), st.sampled_from(["x", "y"])), max_size=3
)
bought = st.lists(
    st.tuples(st.integers(1, 30), st.none() | st.floats(0.1, 9.0), st.integers(2, 28)), min_size=1, max_size=3
)


@settings(max_examples=25, deadline=None)
@given(holdings, bought)
def test_every_committed_gpu_hour_is_paid_once(drawn, commitments):
    rng = np.random.default_rng(1)
    records = []
    for at, (gpus, gaps, team) in enumerate(drawn):
        values = gpus * rng.uniform(0.0, 1.0, FEBRUARY.slots)
        values[rng.uniform(size=FEBRUARY.slots) < gaps] = np.nan
        records.append(held(values, name=f"s{at}", team=team))
    made = [
        commitment(gpus, price, at=at, until=date(2027, 2, day))
        for at, (gpus, price, day) in enumerate(commitments, start=1)
    ]
    report = reported(records, made)
    expect_whole(report)
    # Slot by slot, by hand: what is held up to the commitments in proportion, the rest of it, and what nobody held.
    # Where not all is known, what is held is at the pool's price.
    total, unpriced = 0.0, 0.0
    for slot in range(FEBRUARY.slots):
        now = [each for each in made if FEBRUARY.edges_s[slot] < each.until_s]
        committed = sum(each.gpus for each in now)
        values = [each.use.allocated[slot] for each in records]
        known = sum(value for value in values if not np.isnan(value))
        told = not np.isnan(values).any() or known >= committed
        left = known
        for each in now:
            price = each.lines[0].effective
            shared = 0.0 if np.isnan(values).any() else min(known, committed)
            of_it = shared * each.gpus / committed
            spare = max(0.0, committed - known) * each.gpus / committed if told else 0.0
            if price is None:
                unpriced += spare
            else:
                total += (of_it + spare) * price
                left -= of_it
        total += left * 3.0
    ledger = report.table("ledger")
    assert (ledger.total("allocated_cost") or 0.0) == pytest.approx(total, rel=1e-9, abs=1e-6)
    without = sum(row["allocated_gpu_h"] or 0.0 for row in ledger.rows if row["price"] is None)
    assert without == pytest.approx(unpriced, rel=1e-9, abs=1e-6)
    rows = [*csv.DictReader(io.StringIO(focus_report(report)))]
    assert sum(float(row["EffectiveCost"]) for row in rows) == pytest.approx(
        ledger.total("allocated_cost") or 0.0, rel=1e-6, abs=1e-6
    )


# --- their prices


def fleet(*commitments, **clusters) -> FleetFile:
    return FleetFile.model_validate(
        {"workloads": [{"name": "a"}], "clusters": clusters or {POOL[0]: {"cloud": "aws", "region": "r"}},
         "commitments": [{"cluster": POOL[0], "gpu": POOL[1], "gpus": 16, "until": "2028-01-01", **each}
                         for each in commitments]}
    )  # fmt: skip


@pytest.fixture
def book(tmp_path):
    def row(amount, pricing, **fields):
        return {"gpu": POOL[1], "cloud": "aws", "region": "r", "pricing": pricing, "perGpuHour": amount,
                "asOf": "2027-01-01", "source": "list", **fields}  # fmt: skip

    spec = {
        "asOf": "2027-01-01", "currency": "USD",
        "exchangeRates": [{"from": "USD", "to": "EUR", "rate": 0.5, "asOf": "2027-01-01", "source": "bank"}],
        "discounts": [{"percent": 10, "pricing": "on_demand", "source": "deal"}],
        "prices": [row(4.0, "on_demand"), row(2.0, "reserved", termYears=1), row(1.0, "reserved", termYears=3),
                   row(3.0, "owned")],
    }  # fmt: skip
    path = tmp_path / "prices.yaml"
    document = {"apiVersion": "replicast.dev/v1alpha1", "kind": "PriceBook", "metadata": {"name": "ours"}, "spec": spec}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("fields", "price", "terms"),
    [
        ({"perGpuHour": 1.2}, 0.6, ("reserved", None, 2.0)),
        ({"perGpuHour": 1.2, "pricing": "reserved", "termYears": 3}, 0.6, ("reserved", 3, 2.0)),
        ({"pricing": "reserved", "termYears": 1}, 1.0, ("reserved", 1, 2.0)),
        ({"pricing": "reserved", "termYears": 3}, 0.5, ("reserved", 3, 2.0)),
        ({"pricing": "owned"}, 1.5, ("owned", None, None)),
        ({}, None, ("", None, None)),
    ],
)
def test_a_commitments_price_is_stated_or_found_in_the_book(book, fields, price, terms):
    (found,) = priced_pools(fleet(fields), [], FEBRUARY, prices=book, currency="EUR").commitments
    (line,) = found.lines
    assert (line.effective, (line.pricing, line.term_years, line.on_demand_list_price)) == (price, terms)
    assert line.on_demand_price == (None if terms[2] is None else pytest.approx(terms[2] * 0.9))


def test_without_fields_it_is_the_pools_price_where_that_is_paid_held_or_not(book):
    place = {POOL[0]: {"cloud": "aws", "region": "r", "pricing": ["owned"]}}
    pools = priced_pools(fleet({}, **place), [], FEBRUARY, prices=book, currency="USD")
    assert pools.commitments[0].lines[0].effective == 3.0
    (told,) = [each for each in pools.assumptions if each.topic == "commitment"]
    assert told.text == "16 GPUs until 2028-01-01, paid whether held or not, at 3 USD a GPU-hour"
    assert "as of 2027-01-01 (list)" in told.source


def with_discounts(book, *discounts):
    document = yaml.safe_load(book.read_text(encoding="utf-8"))
    document["spec"]["discounts"] += [{"source": "deal", **each} for each in discounts]
    book.write_text(yaml.safe_dump(document), encoding="utf-8")
    return book


def test_a_teams_discount_on_reserved_prices_is_off_what_it_holds_of_a_commitment_too(book):
    book = with_discounts(book, {"percent": 25, "pricing": "reserved", "team": "x"})
    records = [held(4.0, team="x"), held(4.0, name="b", team="y")]
    services = [each.accounted for each in records]
    of_book, stated = {"pricing": "reserved", "termYears": 1}, {"perGpuHour": 2.0}
    for fields, of_x, told in ((of_book, 1.5, "; its own discounts off for x"), (stated, 2.0, "")):
        pools = priced_pools(fleet(fields), services, FEBRUARY, prices=book, currency="USD")
        report = reported(records, pools.commitments, prices=pools.prices)
        expect_whole(report)
        # What nobody held has no team and no team's discount.
        assert [row["price"] for row in report.table("ledger").rows] == [of_x, 2.0, 2.0]
        assert costs(report)["a"] == HOURS * 4 * of_x
        (assumption,) = [each.text for each in pools.assumptions if each.topic == "commitment"]
        assert assumption.endswith(f"2 USD a GPU-hour{told}")
        rows = [*csv.DictReader(io.StringIO(focus_report(report)))]
        assert len({row["CommitmentDiscountId"] for row in rows}) == 1
        assert float(rows[0]["EffectiveCost"]) == HOURS * 4 * of_x


def test_discounts_that_were_off_no_price_are_told(book):
    book = with_discounts(
        book,
        {"percent": 25, "pricing": "reserved", "team": "x"},
        {"percent": 5, "pricing": "reserved", "from": "2027-02-01", "until": "2027-02-10"},
        {"percent": 5, "pricing": "reserved", "from": "2027-02-10", "until": "2027-02-20"},  # goes on with the last
        {"percent": 7.5, "team": "assistant", "gpu": POOL[1]},
        {"percent": 50, "cloud": "gcp", "until": "2027-01-01"},  # before the period
    )
    accounted = held(4.0, team="x").accounted
    pools = priced_pools(
        fleet({"pricing": "reserved", "termYears": 1}), [accounted], FEBRUARY, prices=book, currency="USD"
    )
    (told,) = [each for each in pools.assumptions if each.topic == "discounts"]
    assert told.text == (
        f"7.5 % off gpu {POOL[1]}, team assistant (deal) was off no price of this account: are its names right?"
    )
    assert told.source == "ours"
    # A price that the fleet file states has none of the book's.
    stated = priced_pools(fleet({"perGpuHour": 1.0}), [accounted], FEBRUARY, prices=book, currency="USD")
    assert len([each for each in stated.assumptions if each.topic == "discounts"]) == 4


def test_a_price_without_an_exchange_rate_and_a_term_that_the_book_lacks_are_told(book):
    pools = priced_pools(fleet({"perGpuHour": 1.2}), [], FEBRUARY, prices=book, currency="GBP")
    assert "no exchange rate from USD to GBP" in pools.commitments[0].lines[0].told
    assert "is not known" in pools.commitments[0].assumption("GBP").text


@pytest.mark.parametrize("fields", [{"termYears": 1}, {"pricing": "reserved"}, {"pricing": "owned", "termYears": 3}])
def test_terms_that_say_no_price_are_refused(fields):
    with pytest.raises(ValueError, match="termYears"):
        fleet(fields)


# --- formats


def test_a_workbook_looks_mixed_prices_up():
    report = mixed_report()
    sheet = rows_of_sheet(opened(write_xlsx(report), formulas=True), report, "ledger")
    assert "price_mix_cost" in sheet[0]["price"]
    assert "prices_price" in sheet[-1]["price"]
    mix = rows_of_sheet(opened(write_xlsx(report), formulas=True), report, "price_mix")
    assert all("prices_price" in row["price"] and row["cost"].startswith("=") for row in mix)


def test_focus_tells_held_from_not_held_and_the_list_price_from_the_rate():
    gpus = np.where(np.arange(FEBRUARY.slots) < 100, 10.0, 2.0)
    made = [commitment(4, 1.0, term_years=3, on_demand_list_price=3.5, on_demand_price=3.2)]
    text = focus_report(reported([held(gpus, name="naïve 日本")], made))
    rows = [*csv.DictReader(io.StringIO(text))]
    assert [(row["CommitmentDiscountStatus"], row["PricingCategory"], row["ListUnitPrice"]) for row in rows] == [
        ("Used", "Committed", "3.5"), ("", "Standard", "3.0"), ("Unused", "Committed", "3.5"),
    ]  # fmt: skip
    used, _, unused = rows
    assert (
        used["CommitmentDiscountId"] == unused["CommitmentDiscountId"] == "/".join(POOL) + " commitment 1/reserved/3y"
    )
    assert (unused["ConsumedQuantity"], unused["ResourceName"]) == ("", "")
    assert float(unused["PricingQuantity"]) == 572 * 2
    assert (used["ContractedUnitPrice"], unused["ContractedCost"], unused["EffectiveCost"]) == (
        "3.2",
        "3660.8",
        "1144.0",
    )
    assert used["ChargeDescription"].isascii()
    assert used["ResourceName"] == r"naive \u65e5\u672c"
    assert used["ResourceId"].endswith(r"na\xefve \u65e5\u672c")
    assert json.loads(used["Tags"])["service"] == "naïve 日本"
    verdict = check(text)
    assert not verdict.failed, verdict.printed
