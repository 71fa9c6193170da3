"""Services behind one gateway under one budget: as sized alone, packed together, and what fits where not all does."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.cli.main import run

FOLDER = Path(__file__).parent / "topologies"
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def hybrid(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    return tmp_path / "hybrid.yaml"


def changed(path: Path, **parts: Any) -> Path:
    """The file with top-level fields replaced; `chat`, `embed` and `rerank` are fields of that route."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    routes = {route["name"]: route for route in document["routes"]}
    for name, value in parts.items():
        if name in routes:
            routes[name].update(value)
        else:
            document[name] = value
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def plan_of(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, dict[str, Any]]:
    code = run(["size", "--topology", str(path), "-o", "json"])
    return code, json.loads(capsys.readouterr().out)


def shape(text: str) -> str:
    """Numbers move with the mathematics; the words and the order are what golden files hold."""
    unwrapped = re.sub(r"\n {4}(?=\S)", " ", text)
    return re.sub(r" {2,}", "  ", re.sub(r"[0-9][0-9.,]*", "#", unwrapped))


def test_each_route_is_as_sized_alone_and_all_share_nodes(capsys, hybrid):
    code, plan = plan_of(capsys, changed(hybrid, gateway={"name": "inference"}))
    assert (code, plan["kind"], plan["feasible"], plan["budget"]["holds"]) == (0, "TopologyPlan", True, True)
    for route in plan["routes"]:
        asked = [f"--slo={each['objective']}" for each in route["objectives"]]
        profile = route["profile"] if route["name"] == "chat" else str(hybrid.parent / f"{route['profile']}-a100.yaml")
        lengths = ["--input-tokens", "512", "--output-tokens", "128"] if route["name"] == "chat" else []
        assert run(["size", "--profile", profile, "--qps", str(route["qps"]), *lengths, *asked, "-o", "json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert (route["replicas"], route["gpus"]) == (alone["replicas"], alone["gpus"])
        assert route["predicted"]["e2e"]["p99"] == alone["predicted"]["e2e"]["p99"]
    assert plan["totals"]["gpus"] == sum(route["gpus"] for route in plan["routes"])
    assert plan["totals"]["nodes"] == -(-plan["totals"]["gpus"] // 8)
    assert plan["totals"]["cost"]["per_hour"] == 20.0 * plan["totals"]["nodes"]
    assert sum(route["cost"]["per_hour"] for route in plan["routes"]) == pytest.approx(20.0 * plan["totals"]["nodes"])
    placed = [count for place in plan["nodes"][0]["placements"] for count in place["replicas"].values()]
    assert sum(placed) == plan["totals"]["replicas"]


def test_the_gateway_is_in_what_clients_see(capsys, hybrid):
    _, plain = plan_of(capsys, changed(hybrid, gateway={}))
    _, behind = plan_of(capsys, changed(hybrid, gateway={"overhead": "3ms"}))
    for before, after in zip(plain["routes"], behind["routes"], strict=True):
        if before["replicas"] == after["replicas"]:
            assert after["predicted"]["e2e"]["p50"] == pytest.approx(before["predicted"]["e2e"]["p50"] + 0.003)
            assert after["predicted"]["queue"] == before["predicted"]["queue"]


def test_the_tables_are_as_looked_over(capsys, hybrid):
    told = []
    for title, parts in (
        ("a budget that holds", {}),
        ("a budget that does not", {"budget": {"perHour": 25}, "chat": {"qps": 60}}),
    ):
        run(["size", "--topology", str(changed(hybrid, **parts))])
        told.append(f"# {title}\n{shape(capsys.readouterr().out)}")
    assert "\n".join(told) == (GOLDEN / "topology.txt").read_text(encoding="utf-8")


def test_by_how_much_a_budget_fails_and_what_fits_by_priority(capsys, hybrid):
    code, plan = plan_of(capsys, changed(hybrid, budget={"gpus": {"A100-SXM4-80GB": 6}}, rerank={"priority": 20}))
    assert (code, plan["feasible"]) == (1, False)
    (gpus,) = [limit for limit in plan["budget"]["limits"] if limit["what"] == "gpus"]
    assert gpus["over"] == gpus["needs"] - 6 > 0
    best = {route["name"]: route for route in plan["best_within_budget"]}
    full = {route["name"]: route for route in plan["routes"]}
    assert sum(route["gpus"] for route in best.values()) <= 6
    assert best["rerank"]["replicas"] == min(full["rerank"]["replicas"], 4), "the others keep one each"
    for name, route in best.items():
        if route["replicas"] < full[name]["replicas"] and route["stable"]:
            assert route["loosen"]
            assert all(each["predicted"] > each["limit"] for each in route["loosen"])
            assert 0.0 < route["within_objectives_share"] < 1.0
        elif not route["stable"]:
            assert route["within_objectives_share"] <= route["carried_share"] < 1.0


def test_where_not_even_the_least_fits_that_is_told(capsys, hybrid):
    code, plan = plan_of(capsys, changed(hybrid, budget={"gpus": {"A100-SXM4-80GB": 2}}))
    assert (code, plan["best_within_budget"]) == (1, None)
    assert "not even the minReplicas of every route fit" in plan["remedy"]


def test_an_objective_that_nothing_meets_is_one_routes_fault(capsys, hybrid):
    code, plan = plan_of(capsys, changed(hybrid, rerank={"objectives": ["e2e:p99<=20ms"]}))
    assert code == 1
    assert [route["name"] for route in plan["routes"] if not route["feasible"]] == ["rerank"]
    assert "raise that limit above" in plan["remedy"]


def test_bounds_of_replicas_hold(capsys, hybrid):
    code, plan = plan_of(capsys, changed(hybrid, chat={"minReplicas": 4}, rerank={"maxReplicas": 2}))
    chat, _, rerank = plan["routes"]
    assert (code, chat["replicas"], chat["binding"]["constraint"]) == (1, 4, "minReplicas")
    assert (rerank["replicas"], rerank["feasible"]) == (2, False)
    assert "maxReplicas is 2" in rerank["reason"]


def test_a_model_across_nodes_takes_whole_ones(capsys, hybrid):
    large = {
        "name": "large",
        "path": "/v1/large",
        "model": "meta-llama/Llama-3.1-405B",
        "gpu": "A100-SXM4-80GB",
        "parallelism": {"tensor": 8, "pipeline": 2, "link": {"bandwidth": "25GB/s", "latency": "10us"}},
        "qps": 0.05,
        "inputTokens": 1000,
        "outputTokens": 200,
        "objectives": ["itl:p95<=150ms"],
    }
    routes = yaml.safe_load(hybrid.read_text(encoding="utf-8"))["routes"]
    _, without = plan_of(capsys, hybrid)
    code, plan = plan_of(capsys, changed(hybrid, routes=[*routes, large], budget={}, nodes=[]))
    assert code == 0
    group = plan["routes"][-1]
    assert (group["gpus"], group["pods"]) == (16 * group["replicas"], 2 * group["replicas"])
    assert plan["totals"]["nodes"] == without["totals"]["nodes"] + 2 * group["replicas"]
    assert plan["nodes"][0]["whole_nodes"] == 2 * group["replicas"]


def test_yaml_and_csv_say_what_json_says(capsys, hybrid):
    _, plan = plan_of(capsys, hybrid)
    run(["size", "--topology", str(hybrid), "-o", "yaml"])
    assert yaml.safe_load(capsys.readouterr().out) == plan
    run(["size", "--topology", str(hybrid), "-o", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["name"] for row in rows] == ["chat", "embed", "rerank", "all"]
    assert int(rows[-1]["gpus"]) == plan["totals"]["gpus"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"chat": {"name": "embed"}}, "the name of a route is there twice: 'embed'"),
        ({"chat": {"path": "/v1/embeddings/"}}, "the path of a route is there twice"),
        ({"chat": {"path": "v1/chat"}}, "routes[0].path"),
        ({"chat": {"name": "Chat Bot"}}, "routes[0].name"),
        ({"chat": {"objectives": []}}, "routes[0].objectives"),
        ({"chat": {"objectives": ["ttft<=1s"]}}, "route 'chat': objective 'ttft<=1s'"),
        ({"chat": {"inputTokens": None}}, "route 'chat': of inputTokens and outputTokens one is missing"),
        ({"chat": {"qps": 0}}, "routes[0].qps"),
        ({"chat": {"qps": True}}, "routes[0].qps"),
        ({"chat": {"profile": "lama"}}, "route 'chat': there is no profile 'lama'"),
        ({"chat": {"model": "meta-llama/Llama-3.1-8B"}}, "give a profile, or a model with its gpu"),
        ({"chat": {"minReplicas": 5, "maxReplicas": 2}}, "maxReplicas is less than minReplicas"),
        ({"chat": {"gpuPrice": 3}}, "both say what it costs"),
        ({"nodes": []}, "route 'chat' has no price: there is no pool for A100-SXM4-80GB under nodes"),
        ({"nodes": [{"gpu": "A100-SXM4-80GB"}]}, "route 'chat' has no price\n"),
        ({"nodes": [{"gpu": "H100"}]}, "no route uses GPU type 'H100'"),
        ({"budget": {"gpus": {"A100": 3}}}, "no route uses GPU type 'A100'"),
        ({"budget": {"hourly": 3}}, "unknown field budget.hourly"),
        ({"gateway": {"overhead": "soon"}}, "'soon' is not a duration"),
        ({"rerank": {"inputTokens": 5, "outputTokens": 5}}, "route 'rerank': profile reranker is of a dynamic batcher"),
        ({"rerank": {"parallelism": {"tensor": 2}}}, "route 'rerank': profile reranker is of a dynamic batcher"),
        ({"rerank": {"objectives": ["ttft:p99<=1s"]}}, "route 'rerank': objective ttft:p99<=1s"),
        ({"chat": {"routing": "magic"}}, "routes[0].routing"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(capsys, hybrid, parts, said):
    assert run(["size", "--topology", str(changed(hybrid, **parts))]) == 2
    assert said in capsys.readouterr().err


def test_a_model_that_does_not_fit_names_its_route(capsys, hybrid):
    large = {"profile": None, "model": "meta-llama/Llama-3.1-405B", "gpu": "A100-SXM4-80GB"}
    assert run(["size", "--topology", str(changed(hybrid, chat=large)), "-o", "json"]) == 1
    said = capsys.readouterr()
    assert "route 'chat': meta-llama/Meta-Llama-3.1-405B at bf16 does not fit on 1 × A100" in said.err
    assert json.loads(said.out)["feasible"] is False


def test_the_file_in_the_readme_is_this_one():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n# hybrid.yaml\n(.*?)```", readme, re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load((FOLDER / "hybrid.yaml").read_text(encoding="utf-8"))


def test_options_of_one_service_do_not_stand_beside_it(capsys, hybrid):
    assert run(["size", "--topology", str(hybrid), "--qps", "3"]) == 2
    assert "--qps cannot stand beside --topology" in capsys.readouterr().err


def test_nodes_that_a_route_holds_are_paid_whole(capsys, hybrid):
    """By GPU prices as by those of nodes: 4 GPUs on each of 4 nodes keep 32 GPUs from others."""
    large = {
        "profile": None,
        "model": "meta-llama/Llama-3.1-405B",
        "gpu": "H100-SXM5-80GB",
        "parallelism": {"tensor": 4, "pipeline": 4, "nodesPerReplica": 4},
        "objectives": ["itl:p95<=2s"],
        "qps": 1,
        "gpuPrice": 2,
    }
    code, plan = plan_of(capsys, changed(hybrid, budget={}, nodes=[], chat=large))
    (chat,) = [route for route in plan["routes"] if route["name"] == "chat"]
    assert (code, chat["gpus"]) == (0, 16 * chat["replicas"])
    assert chat["cost"]["per_hour"] == 2.0 * 32 * chat["replicas"]


def test_a_missing_pool_is_named(capsys, hybrid):
    """A profile of another GPU than the pool's is the usual slip."""
    profile = hybrid.parent / "reranker-a100.yaml"
    profile.write_text(profile.read_text(encoding="utf-8").replace("A100-SXM4-80GB", "L4-24GB"), encoding="utf-8")
    assert run(["size", "--topology", str(hybrid)]) == 2
    assert "route 'rerank' has no price: there is no pool for L4-24GB under nodes" in capsys.readouterr().err
