"""The two models of the demonstration: the samples of `deploy/`, on nodes that KWOK plays and with times of seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.cluster_demo.load_curve import CHAT, RERANKER, Points
from scripts.cluster_demo.timing import Timing
from tests.cluster.manifests import POOL, READY_AFTER, Manifest, gpu_node

NAMESPACE = "serving"
"""That of the samples' series."""
SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
NODES, GPUS = 3, 8


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model, what is asked of it, and how its engine is simulated."""

    name: str
    engine: str
    sample: str
    curve: Points
    simulated_as: tuple[str, ...]
    """Options of `planner simulate`, beside the profile."""
    objectives: tuple[str, ...]
    watched: str
    """What the measured latency is, in words."""
    limit_s: float
    """The objective that it is held against."""
    latency: str
    """Its PromQL, with `{window}`."""
    pod_metric: str | None = None
    """What the sample's HPA scales by, where the demonstration has that HPA."""


MODELS = (
    ServedModel(
        name="chat", engine="vLLM", sample="vllm", curve=CHAT, watched="ttft p99", limit_s=0.5,
        simulated_as=("--input-tokens", "512", "--output-tokens", "128", "--served-model-name", "llama"),
        objectives=("ttft:p99<=500ms", "itl:p95<=60ms"),
        latency="histogram_quantile(0.99, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[{window}s])))",
    ),
    ServedModel(
        name="reranker", engine="Triton", sample="triton", curve=RERANKER, watched="e2e mean", limit_s=0.1,
        simulated_as=("--served-model-name", "bge-reranker-base"),
        objectives=("e2e:mean<=100ms", "e2e:p99<=250ms"),  # Triton counts sums: only the mean can be measured
        latency="1e-6 * sum(rate(nv_inference_request_duration_us[{window}s]))"
        " / sum(rate(nv_inference_request_success[{window}s]))",
        pod_metric="nv_inference_pending_request_count",
    ),
)  # fmt: skip


def nodes() -> Iterator[Manifest]:
    """Nodes with GPUs that are nowhere."""
    for index in range(NODES):
        yield {"apiVersion": "v1", "kind": "Node", **gpu_node(f"gpu-{index}", pool="demo", gpus=GPUS)}


def profile(model: ServedModel, timing: Timing) -> Manifest:
    """The sample's, with the cold start that KWOK plays."""
    found = _sample(model, "engineprofile")
    found["spec"]["coldStart"] = {"p50": timing.cold_start_s, "p95": timing.cold_start_s + 1}
    return found


def objects(model: ServedModel, timing: Timing) -> Iterator[Manifest]:
    """All that is applied for one model."""
    yield _deployment(model, timing)
    if model.pod_metric is not None:
        yield _sample(model, "hpa")
    yield profile(model, timing)
    yield _policy(model, timing)


def _deployment(model: ServedModel, timing: Timing) -> Manifest:
    """The sample's; KWOK plays its pods, so nothing of them is pulled, mounted or started."""
    found = _sample(model, "deployment")
    template = found["spec"]["template"]
    template["metadata"]["annotations"] = {READY_AFTER: f"{timing.cold_start_s}s"}
    template["spec"].pop("volumes", None)
    for container in template["spec"]["containers"]:
        container.pop("volumeMounts", None)
    template["spec"] |= {"nodeSelector": {POOL: "demo"}, "tolerations": [{"key": POOL, "operator": "Exists"}]}
    return found


def _policy(model: ServedModel, timing: Timing) -> Manifest:
    """The sample's in Enforce mode, at the demonstration's pace and without hours of the week."""
    found = _sample(model, "capacitypolicy")
    spec = found["spec"]
    spec["bounds"].pop("schedules", None)
    if model.pod_metric is None:
        spec.pop("hpaRef")
    spec["behavior"] = {
        "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": timing.cold_start_s}]},
        "scaleDown": {
            "stabilizationWindowSeconds": timing.settle_s,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": timing.tick_s}],
        },
    }
    spec |= {"objectives": list(model.objectives), "mode": "Enforce"}
    return found


def _sample(model: ServedModel, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SAMPLES / model.sample / f"{name}.yaml").read_text(encoding="utf-8"))
    found["metadata"]["namespace"] = NAMESPACE
    return found
