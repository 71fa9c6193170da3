"""Random pipelines with replicas at which every stage runs at 30 to 90 % of its capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.random_draws import log_uniform
from models.stage_network import Stage, StageNetwork
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals
from planner.pipeline_file import Pipeline
from planner.pipeline_stages import Delay, PipelineStage
from planner.profile import EngineProfile, load_profile
from planner.service import Service

LEAST_LOAD, MOST_LOAD = 0.3, 0.9
ENGINES = ("llama-3.1-8b-a100-vllm", "llama-3.1-8b-a100-triton", "llama-3.1-70b-fp8-h100-vllm-tp2")
"""vLLM, and TensorRT-LLM in Triton."""
_SHARING = (0, 2)
"""Places of the stages that share GPUs, where there are any."""
SHAPES = ("series", "fan-out", "branch", "chance", "shared GPUs")


@dataclass(frozen=True, kw_only=True)
class PipelineCase:
    """A pipeline, its replicas by group, and what kind it is."""

    pipeline: Pipeline
    counts: tuple[int, ...]
    shape: str
    makes_tokens: bool
    most_load: float


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """A stage to be: kind, what it comes after, and chance."""

    kind: str
    after: tuple[int, ...]
    calls: int = 1
    probability: float = 1.0
    unless: int | None = None


def pipeline_case(number: int, seed: int) -> PipelineCase:
    """The case of that number: shapes in turn, two of three with an engine that makes tokens."""
    rng = np.random.default_rng([seed, number])
    shape, generates = SHAPES[number % len(SHAPES)], rng.random() < 2.0 / 3.0
    drawn = _shape(shape, rng)
    if generates:
        drawn.append(_Drawn(kind="tokens", after=(len(drawn) - 1,)))
    network = StageNetwork(
        stages=tuple(Stage(after=each.after, probability=each.probability, unless=each.unless) for each in drawn)
    )
    qps, tokens, replicas = _engine(rng) if generates else (log_uniform(rng, 5.0, 200.0), None, 0)
    stages, counts, loads = [], [], []
    together, part = None, float(rng.uniform(0.15, 0.85))
    if shape == "shared GPUs":
        together = int(rng.integers(1, 5)), float(rng.uniform(LEAST_LOAD, MOST_LOAD))
    for place, each in enumerate(drawn):
        name = f"s{place}"
        rate = qps * float(network.visit_ratios[place]) * each.calls
        if each.kind == "delay":
            delay = Delay.of_mean(log_uniform(rng, 0.002, 0.1), float(rng.choice([0.0, 0.3, 1.0])))
            stages.append(PipelineStage(name=name, service=None, delay=delay, calls=each.calls))
            continue
        if each.kind == "tokens":
            assert tokens is not None
            stages.append(PipelineStage(name=name, service=tokens, delay=None))
            counts.append(replicas)
            loads.append(rate / tokens.capacity_per_s / replicas)
            continue
        count, load = together or (int(rng.integers(1, 7)), float(rng.uniform(LEAST_LOAD, MOST_LOAD)))
        if together:
            load *= part if place == _SHARING[0] else 1.0 - part
        service = _batcher(name, rate / count / load, qps, rng)
        stages.append(PipelineStage(name=name, service=service, delay=None, calls=each.calls))
        loads.append(together[1] if together else load)
        if place != _SHARING[1] or not together:
            counts.append(count)
    served = [place for place, stage in enumerate(stages) if stage.service is not None]
    burstiness = 1.0 if rng.random() < 0.7 else float(rng.uniform(0.5, 3.0))
    pipeline = Pipeline(
        name=f"case-{number}", qps=qps, burstiness=burstiness, objectives=(), network=network, stages=tuple(stages),
        groups=(_SHARING, *((place,) for place in served if place not in _SHARING))
        if together else tuple((place,) for place in served),
    )  # fmt: skip
    return PipelineCase(
        pipeline=pipeline, counts=tuple(counts), shape=shape, makes_tokens=generates, most_load=max(loads)
    )


def _shape(shape: str, rng: np.random.Generator) -> list[_Drawn]:
    if shape in ("series", "fan-out"):
        count = int(rng.integers(2, 5))
        drawn = [_Drawn(kind=_kind(rng), after=(place - 1,) if place else ()) for place in range(count)]
        if shape == "fan-out":
            place = int(rng.integers(count))
            drawn[place] = replace(drawn[place], kind="batcher", calls=int(rng.integers(2, 25)))
        elif all(each.kind == "delay" for each in drawn):
            drawn[-1] = replace(drawn[-1], kind="batcher")
        return drawn
    if shape == "shared GPUs":
        calls = int(rng.choice([1, 1, 8]))
        return [
            _Drawn(kind="batcher", after=()),
            _Drawn(kind="delay", after=(0,)),
            _Drawn(kind="batcher", after=(1,), calls=calls),
        ]
    first = _Drawn(kind=_kind(rng), after=())
    if shape == "branch":
        width = int(rng.integers(2, 4))
        sides = [_Drawn(kind=_kind(rng), after=(0,)) for _ in range(width)]
        longer = _Drawn(kind="batcher", after=(1,))
        return [first, *sides, longer, _Drawn(kind="batcher", after=(*range(2, width + 1), width + 1))]
    miss = _Drawn(kind="batcher", after=(0,), probability=float(rng.uniform(0.2, 0.8)))
    if rng.random() < 0.5:
        return [first, miss, _Drawn(kind="batcher", after=(0,), unless=1), _Drawn(kind=_kind(rng), after=(1, 2))]
    return [first, miss, _Drawn(kind=_kind(rng), after=(1,)), _Drawn(kind="batcher", after=(0, 2))]


def _kind(rng: np.random.Generator) -> str:
    return "batcher" if rng.random() < 0.7 else "delay"


def _engine(rng: np.random.Generator) -> tuple[float, Service, int]:
    """A rate, an engine that makes tokens, and its replicas at 30 to 90 % load."""
    lengths = TokenLengths.of(
        round(log_uniform(rng, 200.0, 3000.0)), round(log_uniform(rng, 30.0, 300.0)),
        prompt_cv=float(rng.choice([0.0, 0.5])), output_cv=float(rng.choice([0.0, 0.5, 1.0])),
    )  # fmt: skip
    service = Service(
        profile=load_profile(str(rng.choice(ENGINES))), arrivals=OpenArrivals(rate_per_s=1.0), lengths=lengths
    )
    replicas = int(rng.integers(1, 5))
    return float(rng.uniform(LEAST_LOAD, MOST_LOAD)) * replicas * service.capacity_per_s, service, replicas


def _batcher(name: str, capacity_per_s: float, qps: float, rng: np.random.Generator) -> Service:
    """A dynamic batcher of that capacity: largest batch 1 to 32, times nearly flat to nearly linear in the batch."""
    largest, part = min(32, int(log_uniform(rng, 1.0, 33.0))), log_uniform(rng, 0.01, 0.9)
    cv, instances = float(rng.choice([0.0, 0.05, 0.2])), int(rng.choice([1, 1, 2]))
    full_s = instances * largest / capacity_per_s
    one = full_s / (1.0 - part + part * largest)
    sizes = sorted({1, largest})
    spec = {
        "engine": "triton", "model": name, "gpu": {"type": "L4-24GB"},
        "limits": {"maxBatchSize": largest, "instances": instances},
        "serviceTime": [{"batch": size, "mean": one * (1.0 - part + part * size), "cv": cv} for size in sizes],
    }  # fmt: skip
    header = {"apiVersion": "replicast.dev/v1alpha1", "kind": "EngineProfile", "metadata": {"name": name}}
    profile = EngineProfile.model_validate({**header, "spec": spec})
    return Service(profile=profile, arrivals=OpenArrivals(rate_per_s=qps))
