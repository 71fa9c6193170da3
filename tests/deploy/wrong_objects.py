"""Objects that are refused, and what the API server says about them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

POLICY: Document = {
    "apiVersion": "replicast.dev/v1alpha1",
    "kind": "CapacityPolicy",
    "metadata": {"name": "chat", "namespace": "serving"},
    "spec": {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
        "profileRef": {"name": "llama"},
        "metrics": {"matchLabels": {"model_name": "llama"}},
        "objectives": ["ttft:p99<=500ms"],
        "bounds": {"max": 8},
    },
}
"""What must be said and nothing else."""

PROFILE: Document = {
    "apiVersion": "replicast.dev/v1alpha1",
    "kind": "EngineProfile",
    "metadata": {"name": "llama"},
    "spec": {"engine": "vllm", "model": "llama", "gpu": {"type": "A100-SXM4-80GB"}, "stepTime": {"base": 0.009}},
}


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A change that spoils an object."""

    name: str
    base: Document
    change: Document
    """Merged into spec; None removes."""
    said: str
    """By the API server."""

    @property
    def document(self) -> Document:
        """The spoilt object."""
        spoilt = copy.deepcopy(self.base)
        _merge(spoilt["spec"], self.change)
        return spoilt


def _merge(into: Document, change: Document) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _policy(name: str, said: str, **change: Any) -> Wrong:
    return Wrong(name=name, base=POLICY, change=change, said=said)


def _profile(name: str, said: str, **change: Any) -> Wrong:
    return Wrong(name=name, base=PROFILE, change=change, said=said)


OFFICE = {"name": "office", "start": "08:00", "end": "18:00"}
TRITON = {"engine": "triton", "stepTime": None, "limits": {"maxBatchSize": 8}}

WRONG = (
    _policy("nothing to hold", "spec.objectives: Required value", objectives=None),
    _policy("an empty list of objectives", "spec.objectives: Invalid value", objectives=[]),
    _policy(
        "an unknown metric",
        "an objective is metric:statistic<=limit, such as ttft:p99<=500ms, itl:p95<=60ms or e2e:mean<=5s; metrics are "
        "ttft, itl, tpot, e2e and queue",
        objectives=["latency:p99<=500ms"],
    ),
    _policy("a lower limit", "an objective is metric:statistic<=limit", objectives=["ttft:p99>=500ms"]),
    _policy("no unit that is known", "an objective is metric:statistic<=limit", objectives=["ttft:p99<=5 parsecs"]),
    *(
        _policy(f"a percentile {each}", "a percentile of an objective lies between 0 and 100",
                objectives=[f"ttft:{each}<=1s"])
        for each in ("p0", "p00.0", "p100", "P999.9")
    ),
    *(
        _policy(f"a limit of {each}", "the limit of an objective lies between 1us and 1e6s",
                objectives=[f"ttft:p99<={each}"])
        for each in ("0s", "1e7s", "1e99 ms", "1e-30s", "0.5us", "2y", "0h0s", "999999999999999y", "13d")
    ),
    *(
        _policy(f"a limit of {each}", "an objective is metric:statistic<=limit",
                objectives=[f"ttft:p99<={each}"])
        for each in ("1e999s", "1e-300s", "", "1s1s", "1s1m")
    ),
    _policy(
        "two limits of one statistic",
        "the same statistic is limited twice: keep the tighter objective",
        objectives=["ttft:p99<=500ms", "TTFT:p99 <= 1s"],
    ),
    _policy("min above max", "min is more than max", bounds={"min": 9}),
    _policy("a negative min", "spec.bounds.min: Invalid value", bounds={"min": -1}),
    _policy("no max", "spec.bounds.max: Required value", bounds={"max": None}),
    _policy("a budget without a price", "budgetPerHour needs gpuPricePerHour", bounds={"budgetPerHour": 20}),
    _policy("a budget of nothing", "spec.bounds.budgetPerHour", bounds={"budgetPerHour": 0, "gpuPricePerHour": 1}),
    _policy("a price that is none", "spec.bounds.gpuPricePerHour",
            bounds={"budgetPerHour": 1e9, "gpuPricePerHour": 1e-300}),
    _policy("an hour after midnight", "end", bounds={"schedules": [{**OFFICE, "end": "24:30"}]}),
    _policy("zero blindly", "bounds.min 0 needs metrics.arrivals: with no replica no engine", bounds={"min": 0}),
    _policy("zero blindly at night", "bounds.min 0 needs metrics", bounds={"schedules": [{**OFFICE, "min": 0}]}),
    _policy(
        "a schedule above max", "in a schedule min is more than max", bounds={"schedules": [{**OFFICE, "min": 9}]}
    ),
    _policy("no such hour", "start", bounds={"schedules": [{**OFFICE, "start": "25:00"}]}),
    _policy(
        "two scalers",
        "hpaRef and scaledObjectRef exclude each other: KEDA owns its HPA",
        hpaRef={"name": "chat"},
        scaledObjectRef={"name": "chat"},
    ),
    _policy("one length of two", "give inputTokens and outputTokens, or neither", workload={"inputTokens": 512}),
    _policy("a horizon in words", "horizon is coldStart, or a whole number of seconds from 0 to 7200",
            behavior={"forecast": {"horizon": "soon"}}),
    _policy("a horizon beyond the day", "horizon is coldStart", behavior={"forecast": {"horizon": 90_000}}),
    _policy("an unknown mode", 'supported values: "Advise", "Enforce"', mode="Automatic"),
    _policy("no labels", "spec.metrics.matchLabels", metrics={"matchLabels": {"model_name": None}}),
    _policy(
        "PromQL in the name of a label",
        "the name of a label has letters, digits and _, and does not begin with a digit",
        metrics={"matchLabels": {'model"} or vector(1) #': "llama"}},
    ),
    _policy(
        "PromQL in the name of a counter",
        "spec.metrics.arrivals.metric",
        metrics={"arrivals": {"metric": "requests) or (up", "matchLabels": {"model": "llama"}}},
    ),
    _profile("a step of unknown length", "give stepTime, or the measurements to fit it from", stepTime=None),
    _profile("half a mixture of experts", "experts, expertsPerToken and perExpert belong", stepTime={"experts": 64}),
    _profile("half a roofline", "weights and perTokenCompute belong together", stepTime={"weights": 0.01}),
    _profile(
        "two forms of a step",
        "a step time has at most one of: perSqrtDecode; experts; weights with perTokenCompute",
        stepTime={"perSqrtDecode": 1e-4, "weights": 0.01, "perTokenCompute": 1e-5},
    ),
    _profile("a batch size of vLLM", "limits.maxBatchSize is of engine triton", limits={"maxBatchSize": 8}),
    _profile("less than a block", "is less than one block (kvBlockSize)", limits={"kvCacheTokens": 8}),
    _profile("a small budget of tokens", "maxNumBatchedTokens is less than maxNumSeqs",
             limits={"maxNumBatchedTokens": 128}),
    _profile("a batcher without times", "a profile of engine triton has serviceTime and limits.maxBatchSize", **TRITON),
    _profile("a batch beyond the largest", "serviceTime has a batch that is larger than limits.maxBatchSize",
             **TRITON, serviceTime=[{"batch": 16, "mean": 0.1}]),
    _profile("slots of nobody", "holdTime belongs to a model that sequences or streams hold",
             **TRITON, holdTime=[{"held": 1, "mean": 2.0}]),
    _profile("an unknown engine", 'supported values: "vllm", "triton-trtllm", "triton"', engine="llama.cpp"),
    _profile("a time below nothing", "spec.stepTime.base", stepTime={"base": -1.0}),
)  # fmt: skip

ONLY_THE_SERVER_TELLS = (
    _policy(
        "a kind that cannot be scaled",
        "what can be scaled is a Deployment of apps/v1 or a StatefulSet of apps/v1 or a LeaderWorkerSet of "
        "leaderworkerset.x-k8s.io/v1",
        targetRef={"kind": "DaemonSet"},
    ),
    *(
        _policy(f"a label {each}", "choose no series of a target", metrics={"matchLabels": {each: "x"}})
        for each in ("__name__", "le", "replicast_meaning")
    ),
    _policy(
        "a counter by le",
        "choose no series of a target",
        metrics={"arrivals": {"metric": "requests", "matchLabels": {"le": "1"}}},
    ),
)
"""The types let it pass: the controller finds no such target, or no series by such a label, and says so."""
