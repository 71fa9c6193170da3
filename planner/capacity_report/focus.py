"""FOCUS 1.2 cost-and-usage rows: one for each line of usage and charge period, as FinOps tools read them.

The FinOps Open Cost and Usage Specification, version 1.2 (https://focus.finops.org, May 2025); names of columns and
allowed values are its. Each row is usage that is accounted for inside, on no invoice: InvoiceId is null. What is
billed and effective is the price after discounts. Beside a reservation the list price and the contracted one are those
on demand, where they are known: what it spares is the difference. GPU-hours of a commitment that nobody held are rows
of their own, their status "Unused". Names beyond ASCII are whole in Tags alone, which is JSON.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal

from planner.capacity_report.delimited import guarded
from planner.capacity_report.document import CapacityReport
from planner.capacity_report.usage_line import NOT_STATED, UsageLine, usage_lines
from planner.price_fields import Pricing

VERSION = "1.2"
UNIT = "GPU-Hours"
CATEGORIES = {Pricing.ON_DEMAND: "Standard", Pricing.RENTAL: "Standard", Pricing.SPOT: "Dynamic",
              Pricing.RESERVED: "Committed"}  # fmt: skip
"""PricingCategory; what is no price that anybody asks is "Other"."""
_TO, _WIDE = Decimal(1).scaleb(-12), Context(prec=60)


def focus_report(report: CapacityReport) -> str:
    """The rows of a whole report, as CSV; what has no price is in none, but among the report's holes."""
    period = datetime.fromisoformat(report.start), datetime.fromisoformat(report.end)
    return focus_csv(focus_rows(usage_lines(report), period=period))


def focus_rows(
    lines: Iterable[UsageLine], *, period: tuple[datetime, datetime], account: str = "gpu-capacity"
) -> list[dict[str, str]]:
    """Rows by column; null is empty text. `period` is the billing period, `account` names the billing account."""
    return [_row(line, period, account) for line in lines]


def focus_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """The rows as CSV (RFC 4180 with plain line feeds), with the header even where there are none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(line: UsageLine, period: tuple[datetime, datetime], account: str) -> dict[str, str]:
    cells = {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingPeriodStart": _moment(period[0]),
        "BillingPeriodEnd": _moment(period[1]),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{line.gpu} GPUs {_held_by(line)}, {line.pricing.value}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _moment(line.start),
        "ChargePeriodEnd": _moment(line.end),
        **_money(line),
        **_commitment(line),
        **_names(line),
    }
    return {column: guarded(_in_ascii(column, cells.get(column, ""))) for column in COLUMNS}


def _in_ascii(column: str, text: str) -> str:
    """As FOCUS wants texts (1.2, String Handling). In ids every character keeps its own number: no two become one."""
    return _escaped(text) if column.endswith("Id") else ascii_text(text)


def _held_by(line: UsageLine) -> str:
    return f"held by {line.service}" if line.held else "committed and not held"


def ascii_text(text: str) -> str:
    """What a description may hold: letters without their marks, anything else by its number."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _escaped(plain)


def _escaped(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _money(line: UsageLine) -> dict[str, str]:
    paid, hours = decimal_text(line.gpu_hours * line.effective_per_h), decimal_text(line.gpu_hours)
    contracted = line.effective_per_h if line.contracted_per_h is None else line.contracted_per_h
    price = decimal_text(contracted)
    return {
        "BilledCost": paid,
        "BillingCurrency": line.currency,
        # What nobody held is charged and not consumed (FOCUS 1.2, ConsumedQuantity).
        "ConsumedQuantity": hours if line.held else "",
        "ConsumedUnit": UNIT if line.held else "",
        "ContractedCost": decimal_text(line.gpu_hours * contracted),
        "ContractedUnitPrice": price,
        "EffectiveCost": paid,
        "ListCost": decimal_text(line.gpu_hours * line.list_per_h),
        "ListUnitPrice": decimal_text(line.list_per_h),
        "PricingCategory": CATEGORIES[Pricing.RESERVED] if line.commitment else CATEGORIES.get(line.pricing, "Other"),
        "PricingCurrency": line.currency,
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyEffectiveCost": paid,
        "PricingCurrencyListUnitPrice": decimal_text(line.list_per_h),
        "PricingQuantity": hours,
        "PricingUnit": UNIT,
    }


def _commitment(line: UsageLine) -> dict[str, str]:
    if line.pricing is not Pricing.RESERVED and not line.commitment:
        return {}
    term = "" if line.term_years is None else f"{line.term_years}y"
    name = line.commitment or f"{line.cluster}/{line.gpu}"
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": "/".join(filter(None, (name, line.pricing.value, term))),
        "CommitmentDiscountName": " ".join(filter(None, (line.gpu, line.pricing.value, term, "for", line.cluster))),
        "CommitmentDiscountQuantity": decimal_text(line.gpu_hours),
        "CommitmentDiscountStatus": "Used" if line.held else "Unused",
        "CommitmentDiscountType": line.pricing.value.title(),
        "CommitmentDiscountUnit": UNIT,
    }


def _names(line: UsageLine) -> dict[str, str]:
    provider, region = line.provider.name, line.provider.region or ""
    team = "" if line.team == NOT_STATED else line.team
    sku = f"{provider}/{line.gpu}"
    term = "" if line.term_years is None else f"{line.term_years}y"
    tags = {"cluster": line.cluster, "environment": line.environment, "model": line.model, "team": line.team,
            "service": line.service if line.held else NOT_STATED}  # fmt: skip
    return {
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": f"{line.cluster}/{line.environment}/{line.service}" if line.held else "",
        "ResourceName": line.service if line.held else "",
        "ResourceType": "Inference service" if line.held else "",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "GPU inference",
        "ServiceSubcategory": "AI Platforms",
        "SkuId": sku,
        "SkuMeter": "GPU hours",
        "SkuPriceDetails": json.dumps({"GpuCount": 1, "x_GpuType": line.gpu, "x_Pricing": line.pricing.value}),
        "SkuPriceId": "/".join(filter(None, (sku, region, line.pricing.value, term))),
        "SubAccountId": team,
        "SubAccountName": team,
        "Tags": json.dumps({name: None if value == NOT_STATED else value for name, value in tags.items()}),
    }


def decimal_text(value: Decimal) -> str:
    """A decimal as FOCUS wants it: to 12 places, no exponent, and never a whole number, which is no decimal to it."""
    text = f"{value.quantize(_TO, context=_WIDE):f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId",
    "SubAccountName", "Tags",
)  # fmt: skip
"""In the order of the specification's list."""
