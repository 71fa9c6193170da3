"""The example's month, as `make demo-report` makes it, and what the command says to what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from planner.cli.main import run
from scripts import build_report_example
from tests.planner.capacity_report.test_column_formula import expect_formulas_hold

EXAMPLE = Path(__file__).parents[3] / "examples" / "capacity-report"
MONTH = ["report", "--period", "2026-10", "--time-zone", "Europe/Berlin", "--as-of", "2026-11-02"]


def reported(folder: Path, *outputs: str, options: tuple[str, ...] = ()) -> int:
    fleet = ["--fleet", str(folder / "fleet.yaml"), "--prices", str(folder / "prices.yaml")]
    return run([*MONTH, *fleet, *options, *(word for each in outputs for word in ("-o", each))])


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the example, to be spoilt."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report.json"
    assert reported(EXAMPLE, str(out)) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def rows(document, table: str) -> list[dict]:
    return document["tables"][table]["rows"]


def test_the_history_is_as_built(monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_report_example.py", "--check"])
    assert build_report_example.main() == 0


def test_every_check_is_zero_and_a_price_that_changes_makes_two_lines(document):
    assert {row["difference"] for row in rows(document, "checks")} == {0}
    lines = [row for row in rows(document, "ledger") if row["service"] == "search-answers"]
    assert [(row["end"], row["price"]) for row in lines] == [
        ("2026-10-15T22:00:00Z", 2.95),
        ("2026-10-31T23:00:00Z", 3.1),
    ]
    assert sum(row["hours"] for row in lines) == 745


def test_commitments_are_paid_at_their_price_and_what_nobody_held_is_told(document):
    chat = next(row for row in rows(document, "ledger") if row["service"] == "chat")
    parts = [row for row in rows(document, "price_mix") if row["mix"] == chat["price_key"]]
    assert [row["price"] for row in parts] == [2.1, pytest.approx(3.4309 * 0.88)]
    of_it = [row["gpu_h"] for row in rows(document, "price_mix") if row["price_key"] == parts[0]["price_key"]]
    assert len(of_it) > 1  # each service that held GPUs of it has its own part
    assert sum(of_it) == pytest.approx(3 * 745)
    assert chat["price"] == pytest.approx(sum(row["cost"] for row in parts) / sum(row["gpu_h"] for row in parts))
    owned = [row for row in rows(document, "price_mix") if row["price_key"] == "dc-1/A10G-24GB commitment 1"]
    (rest,) = [row for row in rows(document, "ledger") if row["service"] == "(committed, not held)"]
    assert rest["allocated_gpu_h"] + owned[0]["gpu_h"] == 4 * 745
    told = [row["text"] for row in rows(document, "assumptions") if row["topic"] == "commitment"]
    assert told[0] == "3 GPUs until 2027-06-30, paid whether held or not, at 2.1 USD a GPU-hour"


def test_what_is_missing_is_a_hole_of_its_hours(document):
    (hole,) = rows(document, "holes")
    assert (hole["subject"], hole["what"], hole["hours"]) == ("summaries", "demand", 31.0)


def test_advice_is_there_for_what_has_a_price_and_says_what_has_none(document):
    bought = {(row["pool"], row["what"]): row for row in rows(document, "purchases")}
    pool = "us-1/H100-SXM5-80GB"
    saving, mix, all_on_demand = (bought[pool, what] for what in ("saving", "this mix", "all on demand"))
    assert mix["cost_per_year"] + saving["cost_per_year"] == pytest.approx(all_on_demand["cost_per_year"])
    reserved = bought[pool, "reserved, 1 y"]
    assert reserved["gpus"] > 0
    assert reserved["break_even_use"] == pytest.approx(2.2 / 3.1)
    assert "no price of H200-SXM5-141GB (reserved for 1 y" in bought["us-1/H200-SXM5-141GB", "saving"]["told"]
    assert bought["dc-1/A10G-24GB", "no advice"]["told"]
    regrets = [row for row in rows(document, "regrets") if row["pool"] == pool]
    assert [row["change"] for row in regrets] == [-0.2, 0.0, 0.2]
    assert all(row["regret_per_year"] >= 0.0 for row in regrets)
    assert regrets[1]["regret_per_year"] == pytest.approx(0.0, abs=1e-6)


def test_capacity_runs_out_sooner_the_more_demand_grows(document):
    found = [row for row in rows(document, "growth") if row["pool"] == "eu-1/A100-SXM4-80GB"]
    days = [row["runs_out"] for row in found]
    assert [row["scenario"] for row in found] == ["low", "base", "high"]
    assert days == sorted(days, reverse=True)


def test_a_tighter_objective_never_needs_less_and_estimates_are_called_so(document):
    chat = {row["change"]: row for row in rows(document, "what_if") if row["service"] == "chat"}
    limits = [chat["ttft:p99<=500ms at twice the limit"], chat["as it is"], chat["ttft:p99<=500ms at half the limit"]]
    needs = [row["needed_gpu_h"] for row in limits]
    assert needs == sorted(needs)
    assert "ESTIMATED" in chat["fp8"]["basis"]


def test_more_gpus_cost_more_and_miss_less(document):
    for pool in {row["pool"] for row in rows(document, "risk")}:
        points = [row for row in rows(document, "risk") if row["pool"] == pool]
        assert [row["gpus"] for row in points] == sorted(row["gpus"] for row in points)
        assert [row["breach_minutes"] for row in points] == sorted(
            (row["breach_minutes"] for row in points), reverse=True
        )
        assert points[-1]["breach_minutes"] == 0


def test_the_same_input_gives_the_same_bytes(tmp_path, capsys):
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outputs = [
            str(tmp_path / name / f"report{suffix}") for suffix in (".xlsx", ".html", ".md", ".focus.csv", ".csv.zip")
        ]
        assert reported(EXAMPLE, *outputs) == 0
        made.append([Path(each).read_bytes() for each in outputs])
    assert made[0] == made[1]
    assert "USD 47,725.29 for 18,602.0 GPU-hours" in capsys.readouterr().out


def spoilt(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("fleet.yaml", "profile: llama-3.1-8b-a100-vllm", "profile: no-such", "workload 'chat': there is no profile"),
        ("fleet.yaml", "    profile: llama-3.1-8b-a100-vllm\n", "", "workload 'chat' has no profile"),
        ("fleet.yaml", "table: october.csv", "table: november.csv", "workload 'chat': history"),
        ("fleet.yaml", "{table: october.csv}", "{tables: october.csv}", "line"),
        ("fleet.yaml", "{table: october.csv}", "{table: october.csv, replicas: 3}", "needs one of prometheus, table"),
        ("fleet.yaml", "{low: 0.1, base: 0.4, high: 0.9}", "{low: 0.5, base: 0.4, high: 0.9}", "low ≤ base ≤ high"),
        ("fleet.yaml", "pricing: [owned]", "pricing: [own]", "cluster 'dc-1': pricing 'own' is not known"),
        ("prices.yaml", "perGpuHour: 3.4309", "perGpuHour: -3.4309", "prices.yaml, line"),
        ("prices.yaml", "until: 2026-10-16", "until: 2026-10-20", "2026-10-16"),
        ("prices.yaml", "currency: USD", "currency: USX", "USX"),
        ("october.csv", "2026-09-30T23:00Z,chat", "2026-09-30T22:00Z,chat", "line 3: its time is not after"),
        ("october.csv", "2026-09-30T23:00Z,chat,", "2026-09-30T23:00Z,chat,-", "line 3: requests of '-"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_written(folder, file, old, new, told, capsys):
    spoilt(folder, file, old, new)
    outputs = [str(folder / "report.html"), str(folder / "report.json")]
    assert reported(folder, *outputs) == 2
    assert told in capsys.readouterr().err
    assert not any(Path(each).exists() for each in outputs)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--period", "2026-13"), "not a month, quarter or year"),
        (("--period", "2027-10"), "has not begun before 2026-11-03"),
        (("--time-zone", "Berlin"), "--time-zone 'Berlin' is not known"),
        (("--resolution", "7m"), "--resolution of 420 s"),
        (("--resolution", "15m"), "60 minutes apart, slots 15"),
        (("--currency", "EURO"), "EURO"),
        (("-o", "report.doc"), ".doc, which is no format"),
        (("-o", "no-such-folder/report.md"), "there is no folder"),
    ],
)
def test_plausible_wrong_options_are_told(options, told, tmp_path, capsys):
    assert reported(EXAMPLE, str(tmp_path / "report.json"), options=options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()


def test_a_currency_without_a_rate_is_a_hole_and_with_one_a_factor(folder, tmp_path):
    out = tmp_path / "report.json"
    assert reported(folder, str(out), options=("--currency", "EUR")) == 0
    unpriced = json.loads(out.read_text(encoding="utf-8"))
    assert {hole["what"] for hole in rows(unpriced, "holes")} == {"price", "demand"}
    assert "exchange rate from USD to EUR" in str(rows(unpriced, "holes"))
    book = yaml.safe_load((folder / "prices.yaml").read_text(encoding="utf-8"))
    book["spec"]["exchangeRates"] = [
        {"from": "USD", "to": "EUR", "rate": 0.8, "asOf": "2026-10-01", "source": "a test"}
    ]
    (folder / "prices.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    assert reported(folder, str(out), options=("--currency", "EUR")) == 0
    priced = json.loads(out.read_text(encoding="utf-8"))
    assert priced["headline"][0]["value"] == pytest.approx(0.8 * 47_725.288, rel=1e-6)


def test_what_a_breach_is_worth_follows_the_currency(folder, tmp_path):
    book = yaml.safe_load((folder / "prices.yaml").read_text(encoding="utf-8"))
    book["spec"]["exchangeRates"] = [
        {"from": "USD", "to": "JPY", "rate": 150, "asOf": "2026-10-01", "source": "a test"}
    ]
    (folder / "prices.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    found = []
    for currency in ("USD", "JPY"):
        out = tmp_path / f"{currency}.json"
        assert reported(folder, str(out), options=("--currency", currency)) == 0
        found.append(rows(json.loads(out.read_text(encoding="utf-8")), "risk"))
    assert [row["chosen"] for row in found[0]] == [row["chosen"] for row in found[1]]
    assert [150 * row["cost"] for row in found[0]] == pytest.approx([row["cost"] for row in found[1]])


def test_what_if_as_it_is_costs_what_the_ledger_says_with_a_team_s_discount_and_a_price_that_changes(folder, tmp_path):
    spoilt(folder, "prices.yaml", "  discounts:\n", "  discounts:\n    - {percent: 20, team: search, source: a test}\n")
    out = tmp_path / "report.json"
    assert reported(folder, str(out)) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    for service in ("search-answers", "summaries", "code"):  # whose pools hold no commitment
        lines = [row for row in rows(document, "ledger") if row["service"] == service]
        (stands,) = [
            row for row in rows(document, "what_if") if row["service"] == service and row["change"] == "as it is"
        ]
        assert stands["needed_cost"] == pytest.approx(sum(row["needed_cost"] for row in lines))


def test_every_stated_input_is_among_the_assumptions(document):
    told = " ".join(f"{row['subject']}: {row['text']}" for row in rows(document, "assumptions"))
    for each in (
        "low 10%, base 40%, high 90%",
        "at most 25% of what runs",
        "a breach minute is worth USD 4",
        "routing least-outstanding",
        "at least 2 replicas",
        "october.csv (sha256",
        "bge-reranker-a10g",
    ):
        assert each in told  # fmt: skip


def test_formulas_of_every_table_hold(tmp_path):
    from planner.capacity_report import written

    kept = []
    original = written.format_of

    def keeping(path):
        found = original(path)
        return written.Format(suffix=found.suffix, told=found.told, render=lambda report: kept.append(report) or b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written, "format_of", keeping)
        assert reported(EXAMPLE, str(tmp_path / "report.json")) == 0
    for table in kept[0].tables:
        expect_formulas_hold(table)
