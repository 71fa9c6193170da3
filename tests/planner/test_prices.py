"""The price book: the shipped one is the source's, a price is found by a stated rule, and none is ever guessed."""

import csv
import re
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.price_book import SHIPPED, PriceBook, load_prices
from planner.price_fields import Pricing
from planner.prices import PriceRule, price_rule, stated_prices
from scripts import build_prices

BOOK = """
apiVersion: replicast.dev/v1alpha1
kind: PriceBook
metadata: {name: ours}
spec:
  asOf: 2026-10-01
  prices:
  - {gpu: H100-SXM5-80GB, cloud: here, region: eu, pricing: on_demand, usdPerGpuHour: 3, asOf: 2026-10-01, source: us}
  - {gpu: H100-SXM5-80GB, cloud: there, region: us, pricing: on_demand, usdPerGpuHour: 2, asOf: 2026-10-01, source: us}
  - {gpu: H100-SXM5-80GB, cloud: here, region: eu, pricing: spot, usdPerGpuHour: 1, asOf: 2026-10-01, source: us}
  - {gpu: L4-24GB, cloud: here, pricing: rough, usdPerGpuHour: 0.8, asOf: 2026-10-01, source: us}
  - {gpu: L4-24GB, cloud: bare, pricing: on_demand, asOf: 2026-10-01, source: us, note: host only}
"""


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    path = tmp_path / "prices.yaml"
    path.write_text(BOOK, encoding="utf-8")
    return load_prices(path)


def rule(book: PriceBook, **options) -> PriceRule:
    return price_rule(book, **{"cloud": None, "region": None, **options})


def test_the_shipped_book_is_built_from_its_source(monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_prices.py", "--check"])
    assert build_prices.main() == 0
    with build_prices.SOURCE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    prices = load_prices(None).spec.prices
    assert [price.usd_per_gpu_hour for price in prices] == [
        float(row["usd_per_gpu_hour"]) if row["usd_per_gpu_hour"] else None for row in rows
    ]
    assert all(price.source != "same" for price in prices)


def test_what_the_shipped_book_lacks_is_told():
    shipped = load_prices(None)
    assert shipped.name == f"list-prices-{max(SHIPPED.glob('*.yaml')).stem}"
    assert not [price for price in shipped.spec.prices if price.pricing is Pricing.RESERVED]
    assert any("no reserved prices" in note for note in shipped.spec.notes)
    google = rule(shipped, cloud="gcp").find("H100-SXM5-80GB")
    assert google.usd_per_h is None
    assert "HOST PART ONLY" in google.told


def test_the_cheapest_on_demand_counts_with_its_source(book):
    found = rule(book).find("h100-sxm5-80gb")
    assert (found.usd_per_h, found.pricing) == (2.0, "on_demand")
    assert found.told == "$2.00 on_demand, there us, as of 2026-10-01 (us)"


@pytest.mark.parametrize(
    ("options", "usd"),
    [
        ({"cloud": "HERE"}, 3.0),
        ({"region": "eu", "pricing": ("spot",)}, 1.0),
        ({"pricing": ("reserved", "spot")}, 1.0),
        ({"stated": ("H100-SXM5-80GB=2.5",)}, 2.5),
        ({"stated": ("4", "L4-24GB=1")}, 4.0),
        ({"pricing": ("reserved",)}, None),
        ({"cloud": "bare"}, None),
    ],
)
def test_the_rule_that_the_options_say(book, options, usd):
    assert rule(book, **options).find("H100-SXM5-80GB").usd_per_h == usd


def test_a_missing_price_is_named_with_what_there_is_instead(book):
    found = rule(book).find("L4-24GB")
    assert found.usd_per_h is None
    assert found.told == (
        "no price of L4-24GB (on_demand) in ours (host only); it has rough of here: choose with --pricing, or give "
        "--gpu-price L4-24GB=USD"
    )


@pytest.mark.parametrize("text", ["H100=", "=3", "H100=-1", "x", "H100=nan", "H100=1e9"])
def test_what_is_no_price_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a price"):
        stated_prices([text])


def test_a_price_given_twice_is_refused():
    with pytest.raises(InvalidInput, match="twice"):
        stated_prices(["H100=1", "h100=2"])


def test_an_unknown_cloud_is_refused_with_those_there_are(book):
    with pytest.raises(InvalidInput, match="no cloud 'moon'") as told:
        rule(book, cloud="moon")
    assert told.value.remedy == "it has bare, here, there"


def test_a_negative_price_is_refused_with_its_line(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(BOOK.replace("usdPerGpuHour: 0.8", "usdPerGpuHour: -0.8"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"line 11: spec.prices\[3\].usdPerGpuHour"):
        load_prices(path)


def test_the_book_in_the_readme_can_be_read(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(# prices.yaml\n.*?)```", readme, re.DOTALL)[1]
    path = tmp_path / "prices.yaml"
    path.write_text(block, encoding="utf-8")
    own = rule(load_prices(path), pricing=("reserved",))
    assert own.find("H100-SXM5-80GB").usd_per_h == 1.9
    assert own.find("L4-24GB").usd_per_h is None
    assert "not agreed yet" in own.find("L4-24GB").told
