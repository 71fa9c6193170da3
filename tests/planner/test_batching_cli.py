"""`planner size`, `predict` and `simulate` of Triton's dynamic batcher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli.main import main


def profile(folder: Path, **limits: Any) -> str:
    path = folder / "reranker.yaml"
    spec = {
        "engine": "triton",
        "model": "bge-reranker-base",
        "gpu": {"type": "A10G-24GB"},
        "limits": {"maxBatchSize": 8, **limits},
        "serviceTime": [{"batch": 1, "mean": 0.028}, {"batch": 8, "mean": 0.084}],
    }
    header = {"apiVersion": "replicast.dev/v1alpha1", "kind": "EngineProfile", "metadata": {"name": "reranker"}}
    path.write_text(yaml.safe_dump({**header, "spec": spec}))
    return str(path)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def fields(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    return json.loads(ask(capsys, *arguments, "-o", "json")[1])


def test_the_least_replicas_and_what_one_fewer_breaks(capsys, tmp_path):
    name = profile(tmp_path)
    plan = fields(capsys, "size", "--profile", name, "--qps", "300", "--slo", "e2e:p99<=150ms")
    assert (plan["feasible"], plan["stable"], plan["objectives"][0]["met"]) == (True, True, True)
    assert plan["one_fewer"]["replicas"] == plan["replicas"] - 1
    assert plan["one_fewer"]["violates"] == ["e2e:p99<=0.15"]
    assert plan["one_fewer"]["predicted"]["e2e"]["p99"] > 0.15 >= plan["predicted"]["e2e"]["p99"]
    assert set(plan["predicted"]) == {"queue", "e2e", "batch", "throughput", "busy"}
    code, table, _ = ask(capsys, "size", "--profile", name, "--qps", "300", "--slo", "e2e:p99<=150ms")
    assert code == 0
    assert table.startswith(f"{plan['replicas']} replicas, {plan['replicas']} GPUs (A10G-24GB) of reranker\n")


def test_predict_and_simulate_agree(capsys, tmp_path):
    question = ["--profile", profile(tmp_path, instances=2), "--replicas", "2", "--qps", "230"]
    predicted = fields(capsys, "predict", *question)["predicted"]
    simulated = fields(capsys, "simulate", *question, "--requests", "400000")["predicted"]
    assert predicted["batch"]["mean"] == pytest.approx(simulated["batch"]["mean"], rel=0.04)
    for statistic in ("p50", "p95", "p99"):
        assert predicted["e2e"][statistic] == pytest.approx(simulated["e2e"][statistic], rel=0.06)


def test_a_queue_delay_is_bracketed_and_told_where_it_only_costs(capsys, tmp_path):
    question = ["predict", "--replicas", "1", "--qps", "48", "--profile"]
    plain = fields(capsys, *question, profile(tmp_path))
    delayed = fields(capsys, *question, profile(tmp_path, maxQueueDelay=0.01))
    assert not any("queue delay of" in note for note in plain["warnings"])
    assert any("only costs" in note for note in delayed["warnings"])
    rules = delayed["predicted"]["by_rule"]
    # The textbook rule costs 0.6 % of the median here, less than is known; the mean shows it.
    mean_without = plain["predicted"]["e2e"]["mean"]
    assert mean_without < rules["when-idle"]["e2e"]["mean"] < rules["while-running"]["e2e"]["mean"]
    assert delayed["predicted"]["e2e"]["p50"] == rules["while-running"]["e2e"]["p50"]


def test_more_than_can_be_served_is_told(capsys, tmp_path):
    found = fields(capsys, "predict", "--profile", profile(tmp_path), "--replicas", "1", "--qps", "200")
    assert (found["stable"], found["predicted"]["e2e"]["p99"]) == (False, None)


def test_the_highest_rate_meets_the_objective(capsys, tmp_path):
    question = ["predict", "--profile", profile(tmp_path), "--replicas", "2", "--slo", "e2e:p95<=120ms"]
    found = fields(capsys, *question, "--max-qps")
    assert found["objectives"][0]["predicted"] == pytest.approx(0.12, rel=0.01)
    assert 50 < found["max_qps"] < 2 * 95.2


def sequences(folder: Path, *, limits: dict[str, Any], held: list[dict[str, float]]) -> str:
    document = yaml.safe_load(Path(profile(folder)).read_text())
    del document["spec"]["serviceTime"]
    document["spec"] |= {"limits": {"maxBatchSize": 8, **limits}, "holdTime": held}
    path = folder / "sequences.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_sequences_hold_slots(capsys, tmp_path):
    held = [{"held": 1, "mean": 10.0, "cv": 0.5}, {"held": 16, "mean": 20.0, "cv": 0.5}]
    name = sequences(tmp_path, limits={"sequenceBatching": "direct", "instances": 2}, held=held)
    question = ["--profile", name, "--qps", "2"]
    plan = fields(capsys, "size", *question, "--slo", "queue:p95<=10s")
    assert plan["predicted"]["slots"]["count"] == 16
    # Two replicas of 16 slots over 20 s are 1.6 a second.
    assert (plan["replicas"], plan["capacity"]["bottleneck"]) == (3, "slots")
    assert (plan["one_fewer"]["replicas"], plan["one_fewer"]["stable"]) == (2, False)
    seen = fields(capsys, "simulate", *question, "--replicas", "3")["predicted"]
    assert plan["predicted"]["slots"]["held"] == pytest.approx(seen["slots"]["held"], rel=0.05)
    assert plan["predicted"]["e2e"]["p99"] == pytest.approx(seen["e2e"]["p99"], rel=0.1)
    code, table, _ = ask(capsys, "size", *question, "--slo", "queue:p95<=10s")
    assert code == 0
    assert "of 16 in the mean" in table
    assert "all slots held" in table


@pytest.mark.parametrize(
    ("limits", "held", "words"),
    [
        ({}, [{"held": 1, "mean": 1.0}], "spec.holdTime belongs to a model that sequences or streams hold"),
        ({"decoupled": True}, [], "how long a sequence or stream holds its slot is not known"),
        ({"decoupled": True}, [{"held": 1, "mean": 1.0}, {"held": 4, "mean": 1.0}], "1 to 4 held, and there are 8"),
    ],
)
def test_slots_without_their_time_are_refused(capsys, tmp_path, limits, held, words):
    name = sequences(tmp_path, limits=limits, held=held)
    code, _, told = ask(capsys, "size", "--profile", name, "--qps", "1", "--slo", "e2e:p99<=1s")
    assert (code, words in told) == (2, True), told


REFUSED = {
    "tokens": (["--qps", "1", "--input-tokens", "5", "--slo", "e2e:p99<=1s"], 2, "have no tokens"),
    "ttft": (["--qps", "1", "--slo", "ttft:p99<=1s"], 2, "use e2e"),
    "users": (["--concurrency", "4", "--slo", "e2e:p99<=1s"], 2, "give --qps"),
    "no load": (["--slo", "e2e:p99<=1s"], 2, "add --qps"),
    "explain": (["--qps", "1", "--slo", "e2e:p99<=1s", "--explain"], 2, "--explain"),
    "routing": (["--qps", "1", "--slo", "e2e:p99<=1s", "--routing", "least-outstanding"], 2, "round-robin"),
    "too fast": (["--qps", "1", "--slo", "e2e:p99<=20ms"], 1, "nothing meets e2e:p99<=20ms"),
    "too few allowed": (["--qps", "500", "--slo", "e2e:p99<=1s", "--max-replicas", "3"], 1, "6 are needed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_means_nothing_is_refused_with_a_remedy(capsys, tmp_path, case):
    arguments, code, words = REFUSED[case]
    found, _, told = ask(capsys, "size", "--profile", profile(tmp_path), *arguments)
    assert (found, words in told) == (code, True), told
