"""`planner compare`: the table as looked over, which to choose and how sure, and every mistake in one form."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.build_cost import BuildCost
from planner.choice import choose
from planner.cli.main import run
from planner.compared import nodes_of, set_up_of
from planner.comparison import compare
from planner.comparison_row import Candidate, Load
from planner.objective import parse_objectives
from planner.price_book import load_prices
from planner.prices import price_rule
from planner.profile import ColdStart, load_profile

GOLDEN = Path(__file__).parents[1] / "golden" / "compare.txt"
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
SLO = ["--slo", "ttft:p99<=500ms", "--slo", "itl:p95<=60ms"]
PAIR = ["--profile", "llama-3.1-8b-a100-vllm", "--profile", "llama-3.1-8b-a100-triton"]
GOOD = ["compare", *PAIR, "--qps", "60", *LENGTHS, *SLO]
RERANKER = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {{name: reranker-{gpu}}}
spec:
  engine: triton
  model: bge-reranker-base
  gpu: {{type: {gpu}-24GB}}
  limits: {{maxBatchSize: 8}}
  serviceTime: [{{batch: 1, mean: {one}, cv: 0.02}}, {{batch: 8, mean: {eight}, cv: 0.02}}]
"""


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0):
    assert run([*arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_table_is_as_looked_over(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--variants",
        "quantization=fp8,none",
        "--variants",
        "gpu=A100-SXM4-80GB,L4-24GB",
        "--compile-hours",
        "3",
    ]
    assert run([*GOOD, *arguments]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text(encoding="utf-8")


def test_rows_are_ranked_by_cost_and_say_what_size_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "compare", "--model", "llama-3.1-8b", "--qps", "60", *LENGTHS, *SLO)
    costs = [row["cost"]["per_hour"] for row in found["rows"]]
    assert costs == sorted(costs)
    assert len(costs) == 7
    row = found["rows"][-1]
    alone = answer(capsys, "size", "--profile", row["name"], "--qps", "60", *LENGTHS, *SLO)
    assert (row["replicas"], row["predicted"]["e2e"]) == (alone["replicas"], alone["predicted"]["e2e"])
    assert row["range"] == alone["range"]


def test_headroom_is_what_predict_finds_for_the_same_replicas(capsys: pytest.CaptureFixture[str]) -> None:
    row = answer(capsys, *GOOD)["rows"][0]
    most = ["predict", "--profile", row["name"], "--replicas", str(row["replicas"]), "--max-qps", *LENGTHS, *SLO]
    assert row["max_qps"] == answer(capsys, *most)["max_qps"]
    assert row["headroom"] == pytest.approx(row["max_qps"] / 60.0 - 1.0)


def load(rate_per_s: float) -> Load:
    arrivals = OpenArrivals(rate_per_s=rate_per_s)
    workload = Workload(arrivals=arrivals, lengths=TokenLengths.of(512, 128))
    return Load(workload=workload, arrivals=arrivals, objectives=parse_objectives(["ttft:p99<=500ms"]))


def compared(rate_per_s: float, *stated: str, pricing: tuple[str, ...] = ()):
    rule = price_rule(load_prices(None), cloud=None, region=None, stated=stated, pricing=pricing)
    names = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-h100-trtllm-tp1", "llama-3.1-8b-fp8-h200-vllm-tp1")
    profiles = map(load_profile, names)
    candidates = [Candidate(name=each.name, profile=each, gpu=each.spec.gpu.type) for each in profiles]
    return compare(candidates, load(rate_per_s), rule, build=BuildCost(compile_hours=2.0))


def test_all_prices_times_three_are_all_costs_times_three() -> None:
    once = compared(100.0, "A100-SXM4-80GB=1.5", "H100-SXM5-80GB=2", "H200-SXM5-141GB=7")
    thrice = compared(100.0, "A100-SXM4-80GB=4.5", "H100-SXM5-80GB=6", "H200-SXM5-141GB=21")
    assert [row.name for row in once.rows] == [row.name for row in thrice.rows]
    assert once.pareto == thrice.pareto
    for one, three in zip(once.rows, thrice.rows, strict=True):
        for name in ("per_hour", "per_million_output_tokens", "per_thousand_requests"):
            assert three.costs()[name] == pytest.approx(3.0 * one.costs()[name])
    assert thrice.choice.saving_per_hour == pytest.approx(3.0 * once.choice.saving_per_hour)
    assert thrice.choice.saving_share == pytest.approx(once.choice.saving_share)


ROWS = compared(100.0, "A100-SXM4-80GB=1.5", "H100-SXM5-80GB=2", "H200-SXM5-141GB=7").rows
usd = st.floats(0.01, 100.0)


def priced(*prices: float):
    return [replace(row, price=replace(row.price, usd_per_h=usd)) for row, usd in zip(ROWS, prices, strict=True)]


@given(usd, usd, usd, st.floats(0.01, 100.0))
def test_the_choice_is_the_cheapest_whatever_the_currency_and_decided_only_outside_the_errors(one, two, three, times):
    rows = priced(one, two, three)
    choice = choose(rows)
    best = min(row.per_hour for row in rows)
    chosen = next(row for row in rows if row.name == choice.name)
    assert chosen.per_hour == pytest.approx(best, rel=1e-9)
    if choice.decided:
        assert all(row.per_hour_between[0] > chosen.per_hour_between[1] for row in rows if row is not chosen)
    other = choose(priced(times * one, times * two, times * three))
    assert other.saving_per_hour == pytest.approx(times * choice.saving_per_hour, rel=1e-6, abs=1e-7 * times * best)


def test_costs_by_hand() -> None:
    row = compared(100.0, "2").rows[0]
    assert row.per_hour == 2.0 * row.gpus
    # 100 requests/s are 360,000 an hour and 12,800 tokens/s.
    assert row.costs()["per_thousand_requests"] == pytest.approx(row.per_hour / 360.0)
    assert row.costs()["per_million_output_tokens"] == pytest.approx(row.per_hour / (12_800 * 3600 / 1e6))


def test_what_has_no_price_is_not_ranked_and_leaves_it_undecided() -> None:
    found = compared(100.0, pricing=("reserved",))
    assert found.choice.name is None
    assert "no price is known" in found.choice.reason
    some = compared(100.0, "A100-SXM4-80GB=1", pricing=("reserved",))
    assert (some.choice.name, some.choice.decided) == ("llama-3.1-8b-a100-vllm", False)
    assert (
        "not ranked, for want of a price: llama-3.1-8b-fp8-h200-vllm-tp1, llama-3.1-8b-h100-trtllm-tp1"
        in some.choice.reason
    )
    assert [row.per_hour is None for row in some.rows] == [False, True, True]


def test_without_any_price_gpus_of_one_type_are_ranked_by_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    question = ["compare", *PAIR, "--qps", "240", *LENGTHS, "--slo", "ttft:p99<=500ms", "--pricing", "reserved"]
    found = answer(capsys, *question)
    few, many = found["rows"]
    assert (few["gpus"], many["gpus"]) == (5, 6)
    assert (few["rank"], few["cost"]["per_hour"]) == (1, None)
    assert found["choice"]["name"] == few["name"] == "llama-3.1-8b-a100-triton"
    assert found["choice"]["reason"].startswith("17 % fewer GPUs than llama-3.1-8b-a100-vllm, the next; not decided")
    assert found["break_even"][0]["reason"] == "6 replicas against 5 replicas; no price, so no break-even"


def test_a_difference_within_the_errors_is_not_decided() -> None:
    near = compared(100.0, "A100-SXM4-80GB=2", "H100-SXM5-80GB=2.1", "H200-SXM5-141GB=50")
    assert not near.choice.decided
    far = compared(100.0, "A100-SXM4-80GB=50", "H100-SXM5-80GB=0.1", "H200-SXM5-141GB=50")
    assert (far.choice.name, far.choice.decided) == ("llama-3.1-8b-h100-trtllm-tp1", True)


def test_what_costs_the_same_is_chosen_by_what_is_sure_and_quick_to_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, *GOOD, "--variants", "quantization=fp8")
    assert len({row["cost"]["per_hour"] for row in found["rows"]}) == 1
    assert (found["choice"]["name"], found["choice"]["decided"]) == ("llama-3.1-8b-a100-vllm", False)
    assert found["choice"]["reason"] == "it costs the same as llama-3.1-8b-a100-triton, and needs no engine to be built"


INVESTS = ["--compile-hours", "3", "--engineer-hour", "100", "--set-up-hours", "8"]


def test_the_choice_weighs_what_building_every_version_costs(capsys: pytest.CaptureFixture[str]) -> None:
    question = ["compare", *PAIR, "--qps", "240", *LENGTHS, "--slo", "ttft:p99<=500ms", *INVESTS]
    once = answer(capsys, *question)
    assert once["choice"]["name"] == "llama-3.1-8b-a100-triton"
    often = answer(capsys, *question, "--releases-per-month", "4")
    assert often["break_even"][0]["break_even_hours"] is None, "it never pays"
    assert often["choice"]["name"] == often["rows"][0]["name"] == "llama-3.1-8b-a100-vllm"
    assert "builds included" in often["choice"]["reason"]
    cost = often["rows"][1]["cost"]
    assert cost["builds_per_hour"] == pytest.approx((800.0 + 3.0 * cost["gpu_per_hour"]) * 4.0 / 730.5)
    assert cost["per_hour_with_builds"] == pytest.approx(cost["per_hour"] + cost["builds_per_hour"])
    assert often["choice"]["saving_per_hour"] == pytest.approx(
        cost["per_hour_with_builds"] - often["rows"][0]["cost"]["per_hour"]
    )


def test_the_table_has_builds_where_versions_follow_and_names_the_tokens_it_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = ["compare", *PAIR, "--qps", "240", *LENGTHS, "--slo", "ttft:p99<=500ms", *INVESTS]
    tables = []
    for more in ((), ("--releases-per-month", "4", "--trtllm-gain", "0.2")):
        assert run([*question, *more]) == 0
        tables.append(" ".join(capsys.readouterr().out.split()))
    once, often = tables
    assert "with builds" not in once
    assert "no cost here has it" in once
    assert "$ an hour with builds $/1M output tokens" in often
    assert "over the tokens of answers alone" in often
    assert "Building included ($810.29 in the 7.6 days until the next version), TensorRT-LLM pays: first" in often
    assert "--trtllm-gain is not supposed of llama-3.1-8b-a100-vllm" in often


def test_the_front_falls_in_latency_as_cost_rises() -> None:
    found = compared(100.0)
    members = [row for row, on in zip(found.rows, found.pareto, strict=True) if on]
    assert members[0] is found.rows[0] or members[0].per_hour == found.rows[0].per_hour
    for cheaper, dearer in pairwise(members):
        assert dearer.latency("ttft", "p99") <= cheaper.latency("ttft", "p99")


def test_the_least_nodes_leave_no_replica_across_two() -> None:
    tp2, tp8 = load_profile("qwen3-32b-h100-vllm-tp2"), load_profile("qwen3-32b-h100-vllm-tp8")
    assert [nodes_of(tp2, count) for count in (1, 4, 5)] == [1, 1, 2]
    assert nodes_of(tp8, 3) == 3


def test_set_up_is_the_measured_cold_start_and_the_assumed_build() -> None:
    vllm, compiled = (load_profile(f"llama-3.1-8b-a100-{engine}") for engine in ("vllm", "triton"))
    start = ColdStart(p50=95.0, p95=180.0)
    started = vllm.model_copy(update={"spec": vllm.spec.model_copy(update={"cold_start": start})})
    assert set_up_of(started, 3.0).as_dict() == {
        "cold_start": {"p50": 95.0, "p95": 180.0},
        "compile_hours": 0.0,
        "note": "cold start measured; nothing is compiled",
    }
    assert set_up_of(compiled, 3.0).as_dict() == {
        "cold_start": {"p50": None, "p95": None},
        "compile_hours": 3.0,
        "note": "cold start not measured; engine build assumed (--compile-hours)",
    }


def test_users_that_wait_are_compared_too_without_headroom(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "compare", *PAIR, "--concurrency", "200", "--think-time", "5s", *LENGTHS, *SLO)
    assert [row["headroom"] for row in found["rows"]] == [None, None]
    assert found["break_even"][0]["first_saving_from_qps"] is None


@pytest.fixture
def rerankers(tmp_path: Path) -> list[str]:
    options = []
    for gpu, one, eight in (("A10G", 0.028, 0.084), ("L4", 0.040, 0.130)):
        path = tmp_path / f"{gpu}.yaml"
        path.write_text(RERANKER.format(gpu=gpu, one=one, eight=eight), encoding="utf-8")
        options += ["--profile", str(path)]
    return options


def test_dynamic_batchers_compare_among_themselves(rerankers, capsys: pytest.CaptureFixture[str]) -> None:
    question = ["compare", *rerankers, "--qps", "300", "--slo", "e2e:p99<=200ms"]
    found = answer(capsys, *question, "--gpu-price", "A10G-24GB=1.2", "--gpu-price", "L4-24GB=0.8")
    assert {row["name"]: row["gpus"] for row in found["rows"]} == {"reranker-A10G": 4, "reranker-L4": 9}
    assert [row["cost"]["per_hour"] for row in found["rows"]] == pytest.approx([4 * 1.2, 9 * 0.8])
    assert found["rows"][0]["cost"]["per_million_output_tokens"] is None
    assert run([*question, "--pricing", "rough"]) == 0
    table = capsys.readouterr().out
    assert "$/1M output tokens" not in table
    assert "queue p99" in table


def test_forms_have_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    impossible = [*GOOD[:-1], "itl:p95<=4ms", "--profile", "llama-3.1-8b-fp8-h200-vllm-tp2"]
    found = answer(capsys, *impossible)
    assert run([*impossible, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == found
    assert run([*impossible, "-o", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0])[:4] == ["name", "rank", "engine", "engine_version"]
    assert "one_fewer.replicas" not in rows[0]
    assert [row["name"] for row in rows] == [row["name"] for row in found["rows"]]
    assert [row["feasible"] for row in rows] == ["True", "True", "False"]
    assert rows[0]["cost.per_hour"] == str(found["rows"][0]["cost"]["per_hour"])
    assert rows[2]["replicas"] == ""


def test_where_nothing_meets_the_objectives_there_is_a_document_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, *GOOD[:-1], "itl:p95<=1ms", code=1)
    assert not found["feasible"]
    assert found["choice"]["name"] is None
    assert all("nothing meets itl:p95<=1ms" in row["reason"] for row in found["rows"])


def test_a_workload_that_one_engine_refuses_is_a_row_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    long = ["--qps", "0.1", "--input-tokens", "100000", "--output-tokens", "100", "--slo", "ttft:p99<=100s"]
    vllm, compiled = "llama-3.1-8b-a100-vllm", "llama-3.1-8b-h100-trtllm-tp1"
    found = answer(capsys, "compare", "--profile", compiled, "--profile", vllm, *long)
    assert [(row["name"], row["feasible"]) for row in found["rows"]] == [(vllm, True), (compiled, False)]
    assert "longer than the 8,192 tokens of a step" in found["rows"][1]["reason"]


def test_the_picture_is_the_same_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [tmp_path / name for name in ("a.svg", "b.svg")]
    for path in pictures:
        assert run([*GOOD, "--plot", str(path)]) == 0
    one, other = (path.read_text(encoding="utf-8") for path in pictures)
    assert one == other
    assert "Pareto front" in one
    assert "llama-3.1-8b-a100-triton" in one


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["compare", "--qps", "1", *LENGTHS, *SLO], "--profile is missing", "name profiles, or all of a --model"),
        (GOOD[:-4], "no objective is given", "add for example"),
        ([*GOOD, "--profile", "gpt-9-*"], "--profile 'gpt-9-*' matches no shipped profile", "`planner profile list`"),
        ([*GOOD, "--model", "gpt-9"], "--model 'gpt-9': no shipped profile of it", "there are"),
        ([*GOOD, "--trtllm-gain", "much"], "--trtllm-gain 'much' is not a gain", "write 0.17"),
        ([*GOOD, "--gpu-price", "A100"], "--gpu-price 'A100' is not a price", "write H100-SXM5-80GB=2.95"),
        (
            [*GOOD, "--gpu-price", "A100=3"],
            "--gpu-price names a100, and no profile here is of that GPU",
            "A100-SXM4-80GB",
        ),
        ([*GOOD, "--cloud", "moon"], "--cloud: price book list-prices-2026-08-15 has no cloud 'moon'", "it has aws"),
        ([*GOOD, "--prices", "none.yaml"], "price book none.yaml does not exist", "check the path"),
        ([*GOOD, "--variants", "tp=0"], "--variants tp=0: not a tensor-parallel size", "write tp=1,2,4,8"),
        ([*GOOD, "--plot", "front.pdf"], "--plot front.pdf: the file's name must end in .svg or .png", "for example"),
        ([*GOOD, "--set-up-hours", "8"], "--set-up-hours and --engineer-hour belong together", "what one costs"),
        (
            [*GOOD, "--compile-hours", "30", "--releases-per-month", "30"],
            "--compile-hours 30 at --releases-per-month 30: no version is built before the next",
            "fewer releases",
        ),
        ([*GOOD, "--compile-hours", "-1"], "planner compare: --compile-hours -1.0 is out of range", "give a number"),
    ],
)
def test_mistakes_are_told_with_a_remedy(arguments, problem, remedy, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error: {problem}")
    assert remedy in told.err


def test_engines_without_a_common_workload_are_refused(rerankers, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*GOOD, *rerankers]) == 2
    assert "share no workload" in capsys.readouterr().err
    assert run(["compare", *rerankers, "--qps", "9", "--slo", "e2e:p99<=1s", "--variants", "tp=2"]) == 2
    assert "of which nothing can be derived" in capsys.readouterr().err
