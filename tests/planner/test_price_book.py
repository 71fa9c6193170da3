"""What a price book may state, and what is refused with its file and line."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.price_book import PriceBook, load_prices
from planner.prices import price_rule

HEAD = """
apiVersion: replicast.dev/v1alpha1
kind: PriceBook
metadata: {name: ours}
spec:
  asOf: 2026-10-01
  currency: EUR
"""
PRICE = "gpu: L4-24GB, cloud: here, pricing: on_demand, perGpuHour: 1, asOf: 2026-10-01, source: us"
OWNED = """
  owned:
  - gpu: H100-SXM5-80GB
    cloud: ours
    cluster: fra-1
    capexPerNode: 280000
    gpusPerNode: 8
    years: 4
    residualPercent: 10
    costOfCapitalPercent: 8
    powerKw: {load: 1.3, idle: 0.4}
    pue: 1.3
    pricePerKwh: 0.2
    spacePerGpuYear: 876.6
    operationsPerGpuYear: 1753.2
    loadShare: 0.5
    asOf: 2026-10-01
    source: purchase 4711
"""
RATE = "{from: EUR, to: USD, rate: 1.1, asOf: 2026-10-01, source: ECB}"


def load(tmp_path: Path, text: str) -> PriceBook:
    path = tmp_path / "prices.yaml"
    path.write_text(HEAD + text.removeprefix("\n"), encoding="utf-8")
    return load_prices(path)


def with_price(fields: str) -> str:
    return f"  prices:\n  - {{{PRICE}}}\n  - {{{fields}}}\n"


def test_gpus_of_ones_own_cost_what_a_hand_calculation_says(tmp_path):
    # capital (35,000 − 3,500) × 0.301920804 + 3,500 × 0.08 = 9,790.505 a year / 8,766 h = 1.116873
    # power at load 1.3 kW × 1.3 × 0.20 = 0.338, idle 0.4 × 1.3 × 0.20 = 0.104, half of the time each: 0.221
    row = load(tmp_path, OWNED).rows[0]
    assert {name: str(amount.normalize()) for name, amount in row.owned.parts.items()} == {
        "capital": "1.116873",
        "power": "0.221",
        "space": "0.1",
        "operations": "0.2",
    }
    assert row.amount == sum(row.owned.parts.values()) == Decimal("1.637873")
    assert "power 0.338 at load, 0.104 idle, under load 50 % of the time" in row.told


def test_a_price_in_the_books_currency_is_one_in_dollars_by_a_stated_rate_alone(tmp_path):
    def dollars(text: str):
        return price_rule(load(tmp_path, text), cloud=None, region=None).find("L4-24GB")

    stated = f"  prices: [{{{PRICE}}}]\n"
    told = dollars(stated).told
    assert dollars(stated).usd_per_h is None
    assert "no exchange rate from EUR to USD (state it under exchangeRates)" in told
    assert dollars(stated + f"  exchangeRates: [{RATE}]\n").usd_per_h == 1.1
    inverse = dollars(stated + "  exchangeRates: [{from: USD, to: EUR, rate: 0.9, asOf: 2026-10-01, source: ECB}]\n")
    assert inverse.usd_per_h is None
    assert "the one from USD to EUR is not turned round" in inverse.told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_price("gpu: A, cloud: c, pricing: spot, perGpuHour: -1, asOf: x, source: y"),
         r"line 10: spec.prices\[1\].perGpuHour should be greater than or equal to 0, got -1"),
        (with_price("gpu: A, cloud: c, pricing: spot, perGpuHour: 1, usdPerGpuHour: 1, asOf: x, source: y"),
         r"line 10: spec.prices\[1\] has usdPerGpuHour and perGpuHour: keep one of them"),
        (with_price("gpu: A, cloud: c, pricing: spot, from: 2026-02-01, until: 2026-01-01, asOf: x, source: y"),
         r"line 10: spec.prices\[1\] ends before it begins: until 2026-01-01, .*from 2026-02-01"),
        (with_price("gpu: A, cloud: c, pricing: spot, from: 2026-02-30, asOf: x, source: y"),
         r"line 10: '2026-02-30' is no date: day is out of range"),
        (with_price("gpu: A, cloud: c, pricing: spot, termYears: 1, asOf: x, source: y"),
         r"line 10: spec.prices\[1\] has terms of a reservation \(termYears, upfront\), and its pricing is spot"),
        (with_price("gpu: A, cloud: c, pricing: reserved, termYears: 2, asOf: x, source: y"),
         r"line 10: spec.prices\[1\].termYears should be 1 or 3, got 2"),
        (with_price("gpu: A, cloud: c, pricing: reserved, termYears: 1, upfront: partial, asOf: x, source: y"),
         r"line 10: spec.prices\[1\] needs upfrontPercent with upfront: partial"),
        (with_price(PRICE), r"prices\[0\] \(line 9\) and prices\[1\] \(line 10\) overlap: L4-24GB on_demand of here"),
        (OWNED.replace("residualPercent: 10", "residualPercent: 110"),
         r"line 15: spec.owned\[0\].residualPercent should be less than or equal to 100, got 110"),
        (OWNED.replace("    gpusPerNode: 8\n", ""), r"line 9: spec.owned\[0\] needs gpusPerNode with capexPerNode"),
        (OWNED.replace("idle: 0.4", "idle: 4"), r"line 17: spec.owned\[0\].powerKw has idle 4 above load 1.3"),
        (OWNED + "  discounts: [{percent: 120, source: x}]\n",
         r"line 25: spec.discounts\[0\].percent should be less than or equal to 100, got 120"),
        (OWNED + "  discounts: [{precent: 12, source: x}]\n",
         r"line 25: unknown field spec.discounts\[0\].precent"),
        (OWNED + "  exchangeRates: [{from: EUR, to: USS, rate: 1, asOf: x, source: x}]\n",
         r"line 25: spec.exchangeRates\[0\].to is no currency of ISO 4217 \(did you mean USD\?\), got 'USS'"),
        (OWNED + "  exchangeRates: [{from: EUR, to: eur, rate: 1, asOf: x, source: x}]\n",
         r"line 25: spec.exchangeRates\[0\] is from EUR to itself"),
        (OWNED + f"  exchangeRates:\n  - {RATE}\n  - {RATE}\n",
         r"exchangeRates\[0\] \(line 26\) and exchangeRates\[1\] \(line 27\) both state EUR to USD"),
        ("  prices: []\n", r"line 5: spec has neither prices nor owned GPUs"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_file_and_line(tmp_path, text, said):
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path, text)
    assert re.search(said, str(refused.value)), refused.value
    assert str(tmp_path / "prices.yaml") in str(refused.value)
    assert refused.value.remedy


def test_an_unknown_currency_of_the_book_is_refused(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(HEAD.replace("EUR", "EURO") + OWNED.removeprefix("\n"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"line 7: spec.currency is no currency of ISO 4217 \(did you mean EUR\?\)"):
        load_prices(path)


def test_the_book_in_the_documents_is_as_they_say(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "price-book.md").read_text(encoding="utf-8")
    path = tmp_path / "prices.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    book = load_prices(path)
    owned = book.rows[-1]
    assert f"comes to {owned.amount.normalize()} EUR" in text
    told = re.sub(r"\s+", " ", text)
    assert ", ".join(f"{name} {amount.normalize()}" for name, amount in owned.owned.parts.items()) in told
    assert len(book.rows) == 7
    assert {row.currency for row in book.rows} == {"USD", "EUR"}
