"""FOCUS rows: what each cell holds, that they add up to the report, and that focus-validator agrees."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.focus import COLUMNS, decimal_text, focus_csv, focus_report, focus_rows
from planner.capacity_report.usage_line import Provider, UsageLine, usage_lines
from planner.price_fields import Pricing
from scripts.focus_check import check
from scripts.focus_validator import ValidatorMissing
from tests.planner.capacity_report.small_fleet import small_report

PERIOD = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
AWS = Provider(name="aws", region="us-east-1")
DECIMAL = re.compile(r"\d+\.\d+")


def line(**fields) -> UsageLine:
    usual = {
        "service": "chat", "team": "assistants", "model": "llama", "environment": "prod", "cluster": "us-1",
        "gpu": "H100-SXM5-80GB", "provider": AWS, "start": PERIOD[0], "end": PERIOD[1], "gpu_hours": Decimal(12),
        "list_per_h": Decimal("6.88"), "effective_per_h": Decimal("5.16"), "pricing": Pricing.ON_DEMAND,
        "currency": "USD",
    }  # fmt: skip
    return UsageLine(**{**usual, **fields})


def row(**fields) -> dict[str, str]:
    (found,) = focus_rows([line(**fields)], period=PERIOD)
    return found


def many_kinds() -> str:
    """Rows of every kind of pricing, with and without region and team, nothing used, and many digits."""
    lines = [line(pricing=kind) for kind in Pricing]
    lines += [
        line(pricing=Pricing.RESERVED, term_years=3, held=False, service="(committed, not held)", team="(none)"),
        line(pricing=Pricing.OWNED, commitment="dc-1/H100 commitment 1", team="Zürich", service="日本"),
        line(provider=Provider(name="élan", region="Île"), cluster="ø", environment="ü", model="ß", gpu="Ⅷ"),
        line(gpu_hours=Decimal(0), provider=Provider(name="ours"), pricing=Pricing.OWNED),
        line(team="(none)", environment="(none)", service="=cmd|' /C calc'!A0"),
        line(gpu_hours=Decimal("123.123456789"), list_per_h=Decimal("3.430900001"), effective_per_h=Decimal("1E-9")),
        line(currency="JPY", start=datetime(2026, 10, 1, 9, tzinfo=timezone(timedelta(hours=9)))),
    ]
    return focus_csv(focus_rows(lines, period=PERIOD))


@pytest.fixture(scope="module")
def report() -> CapacityReport:
    return small_report()


def validated(rows: str):
    try:
        return check(rows)
    except ValidatorMissing as problem:
        pytest.fail(f"FOCUS rows are not checked: {problem}")


def test_the_validator_finds_no_broken_rule():
    verdict = validated(many_kinds())
    assert not verdict.failed, verdict.printed
    # 284 with 2.2.1, of 578: the others are of columns we do not have, or cannot be seen in rows.
    assert verdict.passed is None or verdict.passed >= 284


def test_the_validator_would_find_a_broken_row():
    rows = list(csv.DictReader(io.StringIO(many_kinds())))
    rows[0].update(BillingCurrency="DOLLARS", Tags="team=chat", BilledCost="", ChargePeriodStart="yesterday")
    broken = {re.split("[-_]", rule)[0] for rule in validated(focus_csv(rows)).failed}
    assert broken >= {"BillingCurrency", "Tags", "BilledCost", "ChargePeriodStart"}


def test_a_row_says_what_was_held_and_what_it_cost():
    found = {column: cell for column, cell in row().items() if cell}
    tags = json.loads(found.pop("Tags"))
    assert tags == {"cluster": "us-1", "environment": "prod", "model": "llama", "service": "chat", "team": "assistants"}
    assert json.loads(found.pop("SkuPriceDetails")) == {
        "GpuCount": 1, "x_GpuType": "H100-SXM5-80GB", "x_Pricing": "on_demand",
    }  # fmt: skip
    assert found == {
        "BilledCost": "61.92",
        "BillingAccountId": "gpu-capacity",
        "BillingAccountName": "gpu-capacity",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
        "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": "H100-SXM5-80GB GPUs held by chat, on_demand",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-11-01T00:00:00Z",
        "ChargePeriodStart": "2026-10-01T00:00:00Z",
        "ConsumedQuantity": "12.0",
        "ConsumedUnit": "GPU-Hours",
        "ContractedCost": "61.92",
        "ContractedUnitPrice": "5.16",
        "EffectiveCost": "61.92",
        "InvoiceIssuerName": "aws",
        "ListCost": "82.56",
        "ListUnitPrice": "6.88",
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": "5.16",
        "PricingCurrencyEffectiveCost": "61.92",
        "PricingCurrencyListUnitPrice": "6.88",
        "PricingQuantity": "12.0",
        "PricingUnit": "GPU-Hours",
        "ProviderName": "aws",
        "PublisherName": "aws",
        "RegionId": "us-east-1",
        "RegionName": "us-east-1",
        "ResourceId": "us-1/prod/chat",
        "ResourceName": "chat",
        "ResourceType": "Inference service",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "GPU inference",
        "ServiceSubcategory": "AI Platforms",
        "SkuId": "aws/H100-SXM5-80GB",
        "SkuMeter": "GPU hours",
        "SkuPriceId": "aws/H100-SXM5-80GB/us-east-1/on_demand",
        "SubAccountId": "assistants",
        "SubAccountName": "assistants",
    }


def test_a_reservation_names_its_commitment_and_others_none():
    reserved = row(pricing=Pricing.RESERVED)
    assert (reserved["PricingCategory"], reserved["CommitmentDiscountStatus"]) == ("Committed", "Used")
    assert reserved["CommitmentDiscountQuantity"] == "12.0"
    one, three = (row(pricing=Pricing.RESERVED, term_years=years) for years in (1, 3))
    assert one["CommitmentDiscountId"] == "us-1/H100-SXM5-80GB/reserved/1y" != three["CommitmentDiscountId"]
    assert one["SkuPriceId"] != three["SkuPriceId"]
    spot = row(pricing=Pricing.SPOT)
    assert spot["PricingCategory"] == "Dynamic"
    assert not [column for column, cell in spot.items() if column.startswith("Commitment") and cell]
    assert row(pricing=Pricing.OWNED)["PricingCategory"] == "Other"


def test_a_name_that_is_a_formula_is_no_formula():
    assert row(service="=cmd|' /C calc'!A0", team="@x")["ResourceName"] == "'=cmd|' /C calc'!A0"
    assert row(team="@x")["SubAccountName"] == "'@x"


def test_times_are_of_utc():
    start = datetime(2026, 10, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert row(start=start)["ChargePeriodStart"] == "2026-10-01T00:00:00Z"


def test_the_rows_add_up_to_the_report(report):
    text = focus_report(report)
    rows = [*csv.DictReader(io.StringIO(text))]
    ledger = report.table("ledger")
    assert sum(float(each["EffectiveCost"]) for each in rows) == pytest.approx(ledger.total("allocated_cost"), rel=1e-9)
    assert sum(float(each["ConsumedQuantity"]) for each in rows) == pytest.approx(ledger.total("allocated_gpu_h"))
    assert {each["BillingPeriodStart"] for each in rows} == {"2026-09-30T22:00:00Z"}  # Berlin's midnight
    assert [each["ProviderName"] for each in rows] == ["eu-1", "eu-1", "us-1"]  # nobody says whose prices they are
    assert text == focus_csv(rows) == focus_report(report)


def test_a_line_without_a_price_is_in_no_row(report):
    prices = report.table("prices")
    unpriced = replace(prices, rows=tuple({**each, "list_price": None, "price": None} for each in prices.rows))
    tables = tuple(unpriced if table.name == "prices" else table for table in report.tables)
    assert [*usage_lines(replace(report, tables=tables))] == []
    assert focus_report(replace(report, tables=tables)) == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("fields", [{"end": PERIOD[0]}, {"gpu_hours": Decimal(-1)}, {"list_per_h": Decimal("-0.1")}])
def test_usage_that_means_nothing_is_refused(fields):
    with pytest.raises(InvalidInput, match="usage of chat"):
        line(**fields)


def test_sums_beyond_all_reason_are_written_too():
    assert decimal_text(Decimal(10) ** 30) == "1" + "0" * 30 + ".0"


@given(st.decimals(0, 10**12, places=9), st.decimals(0, 1000, places=6))
def test_every_decimal_has_its_point_and_costs_are_products(hours, price):
    found = row(gpu_hours=hours, list_per_h=price, effective_per_h=price)
    for column in ("BilledCost", "ListCost", "ListUnitPrice", "PricingQuantity", "ConsumedQuantity"):
        assert DECIMAL.fullmatch(found[column])
    product = Decimal(found["ListUnitPrice"]) * Decimal(found["PricingQuantity"])
    assert abs(Decimal(found["ListCost"]) - product) <= Decimal("1e-12")
    assert Decimal(decimal_text(hours)) == hours
