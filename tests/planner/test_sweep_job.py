"""Sweeps as Kubernetes Jobs: documents of the API's types, the script whole inside, names that the API accepts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import V1ConfigMap, V1Job
from pydantic import ValidationError

from models.errors import InvalidInput
from models.measurement import Measurement
from planner.sweep.job import JobOptions, job
from planner.sweep.plan import MeasuredSetUp, Sweep
from planner.sweep.planned_run import plan_runs
from planner.sweep.script import script
from planner.sweep.target import Target

GOLDEN = Path(__file__).parents[1] / "golden"
OPTIONS = JobOptions(image="benchmarks/vllm:0.32", claim="sweeps", namespace="serving", token_secret="hub")


def a_sweep(model: str = "meta-llama/Llama-3.1-8B-Instruct") -> Sweep:
    return Sweep(
        tool_name="vllm-bench",
        target=Target(engine="vllm", url="http://llama.serving:8000", served_model=model, tokenizer=model),
        setup=MeasuredSetUp(model=model),
        runs=plan_runs([Measurement(concurrency=32, input_tokens=512, output_tokens=128)], noise=0.03, warms_up=False),
        reason="The loads that were asked for.",
    )


def documents(options: JobOptions = OPTIONS, **changes: Any) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(job(a_sweep(**changes), options)))


def test_the_job_is_as_looked_over() -> None:
    assert job(a_sweep(), OPTIONS) == (GOLDEN / "sweep-job.yaml").read_text(encoding="utf-8")


def test_the_config_map_holds_the_script_whole_and_bash_reads_it() -> None:
    config_map, _ = documents()
    assert config_map["data"]["sweep.sh"] == script(a_sweep())
    assert subprocess.run(["bash", "-n"], input=config_map["data"]["sweep.sh"], text=True, check=False).returncode == 0


@pytest.mark.parametrize("options", [OPTIONS, JobOptions(image="b", claim="c")], ids=["all options", "least options"])
def test_the_documents_are_of_the_api_s_types(options: JobOptions) -> None:
    config_map, made = documents(options)
    V1ConfigMap.model_validate(config_map)  # the API's own types, which forbid fields they do not know
    V1Job.model_validate(made)
    pod = made["spec"]["template"]["spec"]
    names = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == names
    assert pod["volumes"][0]["configMap"]["name"] == config_map["metadata"]["name"]
    assert pod["restartPolicy"] == "Never"


def test_the_api_s_types_refuse_what_is_misspelt_missing_or_of_another_type() -> None:
    for path, key, value in (
        (("spec", "template", "spec"), "restartPolice", "Never"),
        (("spec",), "backoffLimit", "0"),
        (("spec", "template", "spec"), "containers", [{"image": "without a name"}]),
    ):
        _, made = documents()
        part = made
        for step in path:
            part = part[step]
        part[key] = value
        with pytest.raises(ValidationError, match=key):
            V1Job.model_validate(made)


@pytest.mark.parametrize("model", ["org/" + "Very-Long." * 30, "...", "UPPER_case/Under_score", "a"])
def test_any_model_gives_a_name_that_the_api_accepts(model: str) -> None:
    _, made = documents(model=model)
    name = made["metadata"]["name"]
    assert len(name) <= 63
    assert name == name.lower()
    assert name.replace("-", "").isalnum()
    assert name[-1] != "-"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "a b", "claim": "c"}, "--image"),
        ({"image": "-x", "claim": "c"}, "--image"),
        ({"image": "b", "claim": "My_Claim"}, "--results-claim"),
        ({"image": "b", "claim": "c", "namespace": "-x"}, "--namespace"),
        ({"image": "b", "claim": "c", "token_secret": "x" * 64}, "--token-secret"),
    ],
)
def test_names_that_the_api_would_refuse_are_refused(options, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        JobOptions(**options)
