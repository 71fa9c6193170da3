"""`planner pack`: who stands beside whom, what shares do, what blocks, and how mistakes are told."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.gpu_sharing import Interference
from models.workload import OpenArrivals
from planner.cli.main import run
from planner.objective import parse_objectives
from planner.profile import load_profile, parse_profile
from planner.service import Service
from planner.share_curve import ShareCurve
from planner.stretched_service import with_share
from tests.planner import packing_files as files
from tests.planner.packing_files import model, write

H100 = "H100-SXM5-80GB"
GOLDEN = Path(__file__).parents[1] / "golden"
CHAT = {
    "name": "chat", "profile": "llama-3.1-8b-a100-vllm", "qps": 8.0, "inputTokens": 512, "outputTokens": 128,
    "objectives": ["ttft:p99<=500ms", "itl:p95<=60ms"],
}  # fmt: skip


def packed(capsys: pytest.CaptureFixture[str], file: str, *options: str, code: int = 0) -> dict[str, Any]:
    assert run(["pack", file, "-o", "json", *options]) == code
    return dict(json.loads(capsys.readouterr().out))


def beside(plan: dict[str, Any]) -> list[list[str]]:
    return sorted(sorted(each["model"] for each in gpu["replicas"]) for gpu in plan["placement"])


def test_light_models_share_a_gpu_and_every_objective_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = packed(capsys, write(tmp_path, model("reranker"), model("vision")))
    assert beside(plan) == [["reranker", "vision"]]
    (gpu,) = plan["placement"]
    assert gpu["share"]["granted"] == pytest.approx(sum(each["share"] for each in gpu["replicas"]))
    assert gpu["share"]["granted"] <= 1.0
    assert all(each["met"] for one in plan["models"] for each in one["objectives"])
    assert all(one["mps_active_thread_percentage"] < 100 for one in plan["models"])
    assert any("interference on A100-SXM4-80GB is not measured: 1.1 times" in each for each in plan["assumptions"])


def test_a_replica_with_half_of_a_gpu_is_as_late_as_one_of_half_the_speed() -> None:
    half = Service(
        profile=parse_profile(yaml.safe_dump(files.profile("reranker")), name="x"),
        arrivals=OpenArrivals(rate_per_s=30.0),
    )
    slow = with_share(half, 0.5).predict(1).laws["e2e"]
    full = half.at_rate(60.0).predict(1).laws["e2e"]
    assert slow.quantile(0.99) == pytest.approx(2.0 * full.quantile(0.99))


def test_the_curve_of_shares_gives_what_a_service_sizes() -> None:
    service = Service(
        profile=parse_profile(yaml.safe_dump(files.profile("vision")), name="x"), arrivals=OpenArrivals(rate_per_s=70.0)
    )
    objectives = parse_objectives(["e2e:p99<=500ms"])
    curve = ShareCurve(service, objectives)
    for share in (1.0, 0.6, 0.37):
        assert curve.least_replicas(share, most=100) == with_share(service, share).size(objectives).replicas
    least = curve.least_share(3)
    assert least is not None
    assert with_share(service, least).predict(3).meets(objectives[0])
    assert not with_share(service, least - 0.02).predict(3).meets(objectives[0])


def test_services_alike_share_what_is_known_of_their_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = parse_profile(yaml.safe_dump(files.profile("vision")), name="x")
    objectives = parse_objectives(["e2e:p99<=777ms"])
    first, second = (Service(profile=profile, arrivals=OpenArrivals(rate_per_s=qps)) for qps in (10.0, 20.0))
    least = ShareCurve(first, objectives).least_share(2)
    monkeypatch.setattr(Service, "predict", lambda *_: pytest.fail("asked again"))
    assert ShareCurve(second, objectives).least_share(4) == least, "twice the rate on twice the replicas"
    with pytest.raises(pytest.fail.Exception):
        ShareCurve(second, parse_objectives(["e2e:p99<=778ms"])).least_share(4)


def test_a_token_engine_is_drawn_out_with_its_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    base = load_profile("llama-3.1-8b-a100-vllm")
    from planner.stretched_service import stretched

    twice = stretched(base, 2.0).to_engine().step_time.seconds(100.0, 8.0, 4000.0)
    assert twice == pytest.approx(2.0 * base.to_engine().step_time.seconds(100.0, 8.0, 4000.0))
    plan = packed(capsys, write(tmp_path, CHAT, model("reranker")))
    assert beside(plan) == [["chat"], ["reranker"]], "a vLLM process has its GPU alone"
    asked = {**CHAT, "memory": {"kvReserve": "20Gi"}, "sharing": "time"}
    plan = packed(capsys, write(tmp_path, asked, model("reranker")))
    assert beside(plan) == [["chat", "reranker"]], "unless it is told to take a part"
    chat = plan["models"][0]["memory"]
    assert chat["kv_tokens"] == 20 * 2**30 // (128 * 1024)
    assert any("weights of" in each for each in chat["derived"])


def test_more_replicas_than_the_load_needs_are_had(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    idle = model("embedder", qps=1.0, minReplicas=3)
    for least, alone in ((2, {**CHAT, "minReplicas": 2}), (3, {**idle, "sharing": "none"}), (3, idle)):
        plan = packed(capsys, write(tmp_path, alone))
        assert [one["replicas"] for one in plan["models"]] == [least], "fewer would do, and are not what was asked for"


def test_who_may_not_stand_together_does_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    apart = model("vision", antiAffinity={"notWith": ["reranker"]})
    plan = packed(capsys, write(tmp_path, model("reranker"), apart))
    assert beside(plan) == [["reranker"], ["vision"]]
    blocks = {each["constraint"]: each for each in plan["blocking"]}
    assert blocks["anti-affinity"]["gpus"] == 1
    assert blocks["anti-affinity"]["saves"] == 1
    assert blocks["memory"]["saves"] == 0


def test_replicas_that_are_spread_are_on_gpus_or_nodes_of_their_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for spread, per_node in (("gpu", 8), ("node", 2)):
        one = model("reranker", minReplicas=3, antiAffinity={"spread": spread})
        plan = packed(capsys, write(tmp_path, one, gpu={"gpusPerNode": per_node}))
        assert beside(plan) == [["reranker"]] * 3
        assert len({gpu["node"] for gpu in plan["placement"]}) == (1 if spread == "gpu" else 3)
        assert plan["one_fewer"]["proven"]


def test_replicas_on_nodes_of_their_own_are_placed_wherever_there_are_nodes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One node of the cheaper type; replicas of two GPUs that fill the first node; pairs that need three nodes."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(files.profile("reranker", "L4-24GB")), encoding="utf-8")
    apart = {"minReplicas": 2, "antiAffinity": {"spread": "node"}}
    types = [{"type": files.GPU, "count": 4, "gpusPerNode": 4, "pricePerHour": 1.0}]
    types += [{"type": "L4-24GB", "count": 8, "gpusPerNode": 4, "pricePerHour": 1.2}]
    plan = packed(capsys, write(tmp_path, model("reranker", otherProfiles=["small.yaml"], **apart), gpus=types))
    assert {gpu["node"] for gpu in plan["placement"]} == {"l4-24gb-0", "l4-24gb-1"}

    (tmp_path / "h100.yaml").write_text(yaml.safe_dump(files.profile("reranker", H100)), encoding="utf-8")
    pairs = {**CHAT, "profile": "qwen3-32b-h100-vllm-tp2", "qps": 1.0, "minReplicas": 2, "objectives": ["e2e:p99<=60s"]}
    alone = model("reranker", profile="h100.yaml", sharing="none", **apart)
    plan = packed(capsys, write(tmp_path, pairs, alone, gpu={"type": H100, "gpusPerNode": 4}))
    assert sorted(gpu["node"][-1] for gpu in plan["placement"]) == ["0"] * 3 + ["1"] * 3

    three = [{**model("reranker", share=0.4, **deepcopy(apart)), "name": name} for name in "abc"]
    plan = packed(capsys, write(tmp_path, *three, gpu={"gpusPerNode": 2, "count": 4}))
    assert plan["gpus"]["total"] == 4
    assert not plan["optimal"], "three GPUs would do without the nodes, and more is not proven"

    few = write(tmp_path, model("reranker", **{**apart, "minReplicas": 3}), gpu={"gpusPerNode": 4})
    assert packed(capsys, few, code=1)["reason"] == (
        "model 'reranker' has `spread: node`, so that each replica needs another node: 3 of A100-SXM4-80GB, of "
        "which there are 2"
    )


def test_every_number_of_replicas_that_may_be_worth_it_is_tried(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Three GPUs have 60 % taken; a model that all but fills a fourth does with the rest of the three."""
    large = [{**model("reranker", qps=1.0, share=0.6), "name": f"large-{n}"} for n in range(3)]
    rest = model("embedder", qps=300.0, objectives=["e2e:p99<=5s"])
    gpu = {"timeSharing": {"division": "mps", "interference": 1.0}}
    plan = packed(capsys, write(tmp_path, *large, rest, gpu=gpu))
    assert plan["gpus"]["total"] == 3
    assert plan["optimal"]
    assert plan["options"]["complete"]
    assert plan["one_fewer"]["proven"]


def test_what_is_proven_is_told_of_the_options_considered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chat = {**CHAT, "qps": 2.0, "memory": {"kvReserve": "5Gi"}, "sharing": "time", "objectives": ["e2e:p99<=20s"]}
    file = write(tmp_path, chat)
    plan = packed(capsys, file)
    assert plan["optimal"]
    assert plan["options"] == {
        "complete": False,
        "replicas": [{"model": "chat", "gpu_type": files.GPU, "tried": [1, 2], "complete": False}],
    }
    assert run(["pack", file]) == 0
    assert "No packing of the options considered (replicas: chat 1 to 2) costs less." in capsys.readouterr().out


def test_memory_is_a_hard_bound_and_says_what_is_short(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(
        tmp_path, *(model(name, memory={"weights": "44Gi", "workspace": "1Gi"}) for name in ("reranker", "vision"))
    )
    plan = packed(capsys, file)
    assert plan["gpus"]["total"] == 2
    assert plan["one_fewer"]["reasons"][0].startswith(
        "memory: short by 15.2 GiB (91.2 GiB needed, 76.0 GiB left to share)"
    )
    assert next(each for each in plan["blocking"] if each["constraint"] == "memory")["gpus"] == 1
    assert all(gpu["memory"]["used_bytes"] <= gpu["memory"]["usable_bytes"] for gpu in plan["placement"])


def test_equal_turns_grant_equal_shares_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    turns = {"timeSharing": {"division": "turns"}}
    plan = packed(capsys, write(tmp_path, model("reranker"), model("vision"), gpu=turns))
    assert beside(plan) == [["reranker"], ["vision"]], "vision needs 46 %, and half a GPU less interference is 45 %"
    plan = packed(capsys, write(tmp_path, model("reranker"), model("vision", qps=11.0), gpu=turns))
    assert beside(plan) == [["reranker", "vision"]]
    assert [one["share"] for one in plan["models"]] == [pytest.approx(0.5 / 1.1)] * 2
    assert all(one["mps_active_thread_percentage"] is None for one in plan["models"])


def test_measured_interference_takes_room(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert Interference(slowdowns=(1.0, 1.2, 2.0)).capacity(5) == 0.5
    two = [model("reranker"), model("vision")]
    measured = {"timeSharing": {"division": "mps", "interference": [{"replicas": 2, "slowdown": 3.0}]}}
    assert packed(capsys, write(tmp_path, *two, gpu=measured))["gpus"]["total"] == 2
    assert packed(capsys, write(tmp_path, *two, gpu={"timeSharing": {"interference": 1.0}}))["gpus"]["total"] == 1
    assert packed(capsys, write(tmp_path, *two, gpu={"timeSharing": {"allowed": False}}))["gpus"]["total"] == 2


def test_slices_isolate_and_each_server_sees_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gpu = {"mig": ["3g.40gb", "2g.20gb"], "timeSharing": {"allowed": False}}
    plan = packed(capsys, write(tmp_path, model("reranker", qps=30.0), model("vision", qps=3.0), gpu=gpu))
    (only,) = plan["placement"]
    assert only["mode"] == "mig"
    starts = [(each["start"], each["slice"]) for each in only["slices"]]
    assert all(start in {"3g.40gb": (0, 4), "2g.20gb": (0, 2, 4)}[name] for start, name in starts)
    groups = [group for one in plan["models"] for group in one["instance_groups"]]
    assert all(group["gpus"] == [0] and group["slice"] for group in groups)


def test_a_slice_gives_no_more_of_its_memory_than_the_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = model("reranker", qps=2.0, sharing="mig", minReplicas=4, memory={"weights": "8Gi", "workspace": "0"})
    for share, gpus in ((0.95, 1), (0.8, 2)):
        gpu = {"mig": ["2g.20gb", "1g.10gb"], "usableMemory": share}
        plan = packed(capsys, write(tmp_path, one, gpu=gpu))
        assert plan["gpus"]["total"] == gpus, "8.6 GiB of the 9.5 GiB that a 1g.10gb has; a GPU has three 2g.20gb"


def test_the_cheapest_type_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path, model("reranker", otherProfiles=["small.yaml"]), gpus=[
        {"type": files.GPU, "count": 2, "pricePerHour": 3.0}, {"type": "L4-24GB", "count": 4, "pricePerHour": 0.7},
    ])  # fmt: skip
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(files.profile("reranker", "L4-24GB")), encoding="utf-8")
    plan = packed(capsys, file)
    assert plan["gpus"]["by_type"] == {"L4-24GB": 1}
    assert plan["cost"]["per_hour"] == 0.7


def test_a_model_that_cannot_be_placed_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hard = write(tmp_path, model("vision", objectives=["e2e:p99<=10ms"]))
    plan = packed(capsys, hard, code=1)
    assert plan["feasible"] is False
    assert plan["reason"].startswith("model 'vision' cannot be placed: on A100-SXM4-80GB: ")
    heavy = write(tmp_path, model("vision", memory={"weights": "90Gi", "workspace": "0"}))
    assert (
        "a replica needs 90.6 GiB of memory and a A100-SXM4-80GB has 76.0 GiB"
        in packed(capsys, heavy, code=1)["reason"]
    )
    few = write(tmp_path, model("reranker", minReplicas=3, antiAffinity={"spread": "gpu"}), gpu={"count": 2})
    plan = packed(capsys, few, code=1)
    assert "3 A100-SXM4-80GB where there are 2" in plan["reason"]
    assert "without antiAffinity" in plan["remedy"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"memori": {}}, "line 10: unknown field models[0].memori"),
    "no memory": ({"memory": {}}, "model 'reranker': memory.weights is not given, and nothing else tells it"),
    "bad amount": ({"memory": {"weights": "2 gigs"}}, "models[0].memory.weights memory: '2 gigs' is not an amount"),
    "no unit": ({"memory": {"weights": 20}}, "weights memory: '20' has no unit; write 20Gi or 20Mi"),
    "a name": ({"antiAffinity": {"notWith": ["A b"]}}, "notWith[0] should be lower-case letters, digits and"),
    "stranger": ({"antiAffinity": {"notWith": ["x"]}}, "antiAffinity.notWith names 'x', which is no model here"),
    "itself": ({"antiAffinity": {"notWith": ["reranker"]}}, "antiAffinity.notWith names the model itself"),
    "bounds": ({"minReplicas": 3, "maxReplicas": 2}, "maxReplicas is less than minReplicas"),
    "tokens": ({"inputTokens": 3, "outputTokens": 3}, "model 'reranker': profile reranker is of a dynamic batcher"),
    "other GPU": (
        {"profile": "qwen3-32b-h100-vllm-tp2", "inputTokens": 3, "outputTokens": 3},
        "is of GPU H100-SXM5-80GB, and the file has",
    ),
    "objective": ({"objectives": ["e2e:p99>=1s"]}, "model 'reranker': objective 'e2e:p99>=1s'"),
    "a metric it has not": ({"objectives": ["ttft:p99<=1s"]}, "model 'reranker': objective ttft:p99<=1s"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_model_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    assert run(["pack", write(tmp_path, model("reranker", **fields))]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: file {tmp_path / 'models.yaml'}, ")
    assert words in captured.err


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ({"type": "X1"}, "GPU X1: its memory is not known"),
        ({"mig": ["9g.90gb"]}, "has no MIG slice '9g.90gb'"),
        (
            {"timeSharing": {"interference": 0.9}},
            "gpus[0].timeSharing.interference should be greater than or equal to 1, got 0.9",
        ),
        (
            {"timeSharing": {"interference": [{"replicas": 1, "slowdown": 2}]}},
            "line 15: gpus[0].timeSharing.interference[0].replicas should be greater than or equal to 2, got 1",
        ),
        ({"count": 0}, "gpus[0].count should be greater than or equal to 1, got 0"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_gpu_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gpu: dict[str, Any], words: str
) -> None:
    assert run(["pack", write(tmp_path, model("reranker"), gpu=gpu)]) == 2
    assert words in capsys.readouterr().err


def test_what_a_compiled_library_prints_stays_out_of_the_answer() -> None:
    script = (
        "import ctypes, sys; from planner.cli.quiet_library import quiet_library\n"
        "print('before')\n"
        "with quiet_library(): ctypes.CDLL(None).printf(b'noise')\n"
        "print('after')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"


def test_csv_has_a_row_for_each_replica(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["pack", write(tmp_path, model("reranker", minReplicas=2), model("vision")), "-o", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert sorted(row["model"] for row in rows) == ["reranker", "reranker", "vision"]
    assert all(float(row["predicted"]) <= float(row["objective"].partition("<=")[2]) for row in rows)


def test_csv_without_a_packing_has_the_columns_of_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["pack", write(tmp_path, model("reranker")), "-o", "csv"]) == 0
    columns = capsys.readouterr().out.splitlines()[0]
    hard = write(tmp_path, model("vision", objectives=["e2e:p99<=10ms"]))
    assert run(["pack", hard, "-o", "csv"]) == 1
    head, row = capsys.readouterr().out.splitlines()
    assert head == columns
    assert ",False,\"model 'vision' cannot be placed" in row


def test_the_file_of_the_readme_is_packed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for name in ("models.yaml", "reranker.yaml"):
        (block,) = re.findall(rf"```yaml\n(# {re.escape(name)}.*?)```", readme, re.DOTALL)
        (tmp_path / name).write_text(block, encoding="utf-8")
    plan = packed(capsys, str(tmp_path / "models.yaml"))
    assert plan["gpus"]["total"] == 3
    assert ["moderation", "reranker"] in beside(plan)


def test_the_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spread = model("reranker", minReplicas=2, antiAffinity={"spread": "gpu"})
    file = write(tmp_path, spread, model("embedder"), model("vision"), CHAT, gpu={"pricePerHour": 2.5, "count": 4})
    assert run(["pack", file]) == 0
    assert capsys.readouterr().out == (GOLDEN / "packing_table.txt").read_text(encoding="utf-8")
