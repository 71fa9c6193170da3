"""The answer of `planner pack` as data in SI units: what `-o json` prints and `planner render` reads.

```
{"feasible": true,
 "optimal": true,                          # proven: the cost is the lower bound
 "gap": 0.0,                               # (cost − bound) / bound, of the cost (of GPUs where there are no prices)
 "bound": {"cost_per_hour": 9.2, "gpus": null},     # of the options considered, as `optimal` and `gap`
 "options": {"complete": true,             # no other number of replicas could be worth more, shares in steps of 2 %
   "replicas": [{"model": "reranker", "gpu_type": "A100-SXM4-80GB", "tried": [1, 2, 3], "complete": true}]},
                                           # of models that share GPUs; others have as many as they need
 "cost": {"per_hour": 9.2},                # null without prices
 "gpus": {"total": 3, "by_type": {"A100-SXM4-80GB": 3}},
 "nodes": [{"name": "a100-sxm4-80gb-0", "type": "A100-SXM4-80GB", "gpus": 3}],       # nodes that have work
 "placement": [                            # one entry a GPU that has work
   {"node": "a100-sxm4-80gb-0", "index": 0,          # index within the node, as CUDA counts
    "type": "A100-SXM4-80GB",
    "mode": "time-shared",                 # dedicated | group (part of a replica of several GPUs) | time-shared | mig
    "memory": {"usable_bytes": 8.1e10, "used_bytes": 4.0e10},
    "share": {"granted": 0.8, "most": 1.0},          # sum of granted shares, interference included; null for mig
    "slices": [{"slice": "3g.40gb", "start": 0, "memory_bytes": 4.2e10, "compute": 0.39, "used": true}],  # of mig
    "replicas": [                          # one entry a replica (or a replica's part)
      {"model": "reranker", "share": 0.4, "memory_bytes": 3.0e9,
       "slice": null,                      # index in `slices`, for mig
       "group": null}]}],                  # number of the replica that this GPU is a part of, for mode group
 "models": [
   {"name": "reranker", "profile": "reranker", "engine": "triton", "model": "bge-reranker-base",
    "gpu_type": "A100-SXM4-80GB", "mode": "time-shared", "slice": null,              # slice: profile such as 3g.40gb
    "replicas": 2, "instances_per_replica": 1, "gpus_per_replica": 1, "tensor_parallel": 1, "pipeline_parallel": 1,
    "nodes_per_replica": 1,
    "qps": 90.0, "qps_per_replica": 45.0, "share": 0.4,  # effective share of a GPU of each replica
    "utilization": 0.6,                    # of the share
    "memory": {"weights_bytes": …, "workspace_bytes": …, "kv_bytes": …, "context_bytes": …, "total_bytes": …,
               "derived": ["…"], "kv_tokens": null},
    "objectives": [{"objective": "e2e:p99<=0.15", "limit": 0.15, "predicted": 0.12, "met": true, "margin": 0.2}],
    "predicted": {"e2e": {"mean": …, "p50": …, "p90": …, "p95": …, "p99": …}, "queue": {…}},
    "anti_affinity": {"spread": "gpu", "not_with": ["chat"]},        # spread: null | gpu | node
    "min_replicas": 1, "max_replicas": null,
    "instance_groups": [                   # Triton's `instance_group` of each server; [] for vLLM
      {"node": "a100-sxm4-80gb-0", "gpu": null, "slice": null, "kind": "KIND_GPU", "count": 1, "gpus": [0, 1]}],
                                           # gpu: of a slice's server
    "mps_active_thread_percentage": 40}],  # CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; null without MPS
 "one_fewer": {"type": "A100-SXM4-80GB", "gpus": 2, "possible": false, "proven": true,
                                           # with the options considered
                "reasons": ["…"]},
 "blocking": [{"constraint": "memory", "cost_per_hour": …, "gpus": 2, "saves": 1, "solved": true, "words": "…"}],
                                           # or compute share, anti-affinity, minimum replicas, GPU counts
 "assumptions": ["…"], "warnings": ["…"]}
```

Where there is no plan: `{"feasible": false, "reason": "…", "remedy": "…"}`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from models.errors import NoFeasiblePlan
from models.packing import GpuKind, Option
from planner.packing_blocking import OneFewer, Relaxation
from planner.packing_check import effective_share, granted
from planner.packing_fields import GpuFields
from planner.packing_placement import PlacedGpu
from planner.packing_plan import PackPlan
from planner.packing_tenant import STATED_SLOWDOWN, Tenant, total_memory
from planner.plan import STATISTICS
from planner.service import ServiceAnswer
from planner.serving import serving_fields
from planner.units import format_seconds


def pack_document(plan: PackPlan, fewer: OneFewer, relaxations: Sequence[Relaxation]) -> dict[str, Any]:
    """Every field of the answer."""
    question, packing = plan.question, plan.packing
    types = Counter(question.kinds[gpu.kind].name for gpu in plan.gpus)
    nodes = Counter((gpu.node, question.kinds[gpu.kind].name) for gpu in plan.gpus)
    return {
        "feasible": True,
        "optimal": packing.optimal,
        "gap": packing.gap,
        "bound": {
            "cost_per_hour": packing.bound if question.priced else None,
            "gpus": None if question.priced else math.ceil(packing.bound - 1e-6),
        },
        "options": _options(plan),
        "cost": {"per_hour": plan.cost_per_h},
        "gpus": {"total": len(plan.gpus), "by_type": dict(types)},
        "nodes": [{"name": name, "type": kind, "gpus": n} for (name, kind), n in nodes.items()],
        "placement": [_gpu(plan, gpu) for gpu in plan.gpus],
        "models": [_model(plan, m) for m in range(len(question.tenants))],
        "one_fewer": {
            "type": question.kinds[fewer.kind].name,
            "gpus": fewer.gpus,
            "possible": False,
            "proven": fewer.proven,
            "reasons": list(fewer.reasons),
        },
        "blocking": [
            {
                "constraint": each.constraint,
                "cost_per_hour": each.cost,
                "gpus": each.gpus,
                "saves": each.saves,
                "solved": each.solved,
                "words": each.words,
            }
            for each in relaxations
        ],
        "assumptions": list(assumptions(plan)),
        "warnings": list(warnings(plan)),
    }


def _options(plan: PackPlan) -> dict[str, Any]:
    """The numbers of replicas that were tried of models that share GPUs."""
    question = plan.question
    return {
        "complete": question.complete,
        "replicas": [
            {
                "model": tenant.name,
                "gpu_type": question.kinds[each.kind].name,
                "tried": list(each.tried),
                "complete": each.complete,
            }
            for tenant, found in zip(question.tenants, question.ways, strict=True)
            for each in found.counts
        ],
    }


def no_packing(error: NoFeasiblePlan) -> dict[str, Any]:
    """Where there is none."""
    return {"feasible": False, "reason": str(error), "remedy": error.remedy}


_COLUMNS = (
    "node", "gpu", "type", "mode", "slice", "slice_start", "model", "instances", "share", "memory_bytes", "qps",
    "objective", "predicted", "margin",
)  # fmt: skip


def no_pack_row(lacking: dict[str, Any]) -> dict[str, Any]:
    """For CSV where there is no packing: the columns of one, empty, and why."""
    return {**dict.fromkeys(_COLUMNS), **lacking}


def pack_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """For CSV: a row for each replica, or part of one, on a GPU."""
    models = {model["name"]: model for model in document["models"]}
    rows = []
    for gpu in document["placement"]:
        for replica in gpu["replicas"]:
            model = models[replica["model"]]
            nearest = max(model["objectives"], key=lambda each: each["predicted"] / each["limit"])
            at = replica["slice"]
            rows.append(
                {
                    "node": gpu["node"],
                    "gpu": gpu["index"],
                    "type": gpu["type"],
                    "mode": gpu["mode"],
                    "slice": None if at is None else gpu["slices"][at]["slice"],
                    "slice_start": None if at is None else gpu["slices"][at]["start"],
                    "model": replica["model"],
                    "instances": model["instances_per_replica"],
                    "share": replica["share"],
                    "memory_bytes": replica["memory_bytes"],
                    "qps": model["qps_per_replica"],
                    "objective": nearest["objective"],
                    "predicted": nearest["predicted"],
                    "margin": nearest["margin"],
                    "feasible": True,
                    "reason": None,
                    "remedy": None,
                }
            )
    return rows


def mode(gpu: PlacedGpu) -> str:
    """How a GPU is used."""
    if gpu.slices:
        return "mig"
    if gpu.replicas[0].group is not None:
        return "group"
    return "time-shared" if len(gpu.replicas) > 1 else "dedicated"


def _gpu(plan: PackPlan, gpu: PlacedGpu) -> dict[str, Any]:
    kind, tenants = plan.question.kinds[gpu.kind], plan.question.tenants
    shares = [granted(kind, plan.options[each.model], len(gpu.replicas)) for each in gpu.replicas]
    needs = [tenants[each.model].memory[gpu.kind].total for each in gpu.replicas]
    used = {each.slice for each in gpu.replicas}
    if gpu.slices:
        shares = [gpu.slices[each.slice or 0][0].compute for each in gpu.replicas]
    room = sum(each.memory_bytes for each, _ in gpu.slices) if gpu.slices else kind.memory_bytes
    return {
        "node": gpu.node,
        "index": gpu.index,
        "type": kind.name,
        "mode": mode(gpu),
        "memory": {"usable_bytes": room, "used_bytes": sum(needs)},
        "share": {"granted": None if gpu.slices else sum(shares), "most": None if gpu.slices else 1.0},
        "slices": [
            {
                "slice": each.name,
                "start": start,
                "memory_bytes": each.memory_bytes,
                "compute": each.compute,
                "used": index in used,
            }
            for index, (each, start) in enumerate(gpu.slices)
        ],
        "replicas": [
            {
                "model": tenants[each.model].name,
                "share": share,
                "memory_bytes": need,
                "slice": each.slice,
                "group": each.group,
            }
            for each, share, need in zip(gpu.replicas, shares, needs, strict=True)
        ],
    }


def _model(plan: PackPlan, m: int) -> dict[str, Any]:
    tenant, option, answer = plan.question.tenants[m], plan.options[m], plan.answers[m]
    kind = plan.question.kinds[option.kind]
    spec, need, fields = tenant.profile(option.kind).spec, tenant.memory[option.kind], tenant.fields
    on = [gpu for gpu in plan.gpus if m in gpu.models]
    gpu_bytes = total_memory(_gpu_fields(plan, option), "")
    return {
        "name": tenant.name,
        "profile": tenant.profile(option.kind).name,
        "engine": spec.engine,
        "model": spec.model,
        "serving": serving_fields(tenant.profile(option.kind)),
        "gpu_type": kind.name,
        "mode": mode(on[0]),
        "slice": option.slice,
        "replicas": option.replicas,
        "instances_per_replica": spec.limits.instances if spec.engine == "triton" else 1,
        "gpus_per_replica": spec.gpu.per_replica,
        "tensor_parallel": spec.gpu.tensor_parallel,
        "pipeline_parallel": spec.gpu.pipeline_parallel,
        "nodes_per_replica": spec.gpu.nodes_per_replica,
        "qps": fields.qps,
        "qps_per_replica": fields.qps / option.replicas,
        "share": effective_share(kind, option, plan.gpus, m),
        "utilization": answer.utilization,
        "memory": {
            "weights_bytes": need.weights,
            "workspace_bytes": need.workspace,
            "kv_bytes": need.kv,
            "context_bytes": need.context,
            "total_bytes": need.total,
            "derived": list(need.derived),
            "kv_tokens": need.kv_tokens,
        },
        "gpu_memory_utilization": None if spec.engine != "vllm" else round(need.total / gpu_bytes, 4),
        "objectives": [_objective(tenant, answer, n) for n in range(len(tenant.objectives))],
        "predicted": {
            metric: {name: law.statistic(q) for name, q in STATISTICS} for metric, law in answer.laws.items()
        },
        "anti_affinity": {"spread": fields.anti_affinity.spread, "not_with": list(fields.anti_affinity.not_with)},
        "min_replicas": fields.min_replicas,
        "max_replicas": fields.max_replicas,
        "instance_groups": [] if spec.engine == "vllm" else list(instance_groups(plan, m, on)),
        "mps_active_thread_percentage": _percentage(plan, m, on),
    }


def _gpu_fields(plan: PackPlan, option: Option) -> GpuFields:
    return plan.question.file.gpus[option.kind]


def _objective(tenant: Tenant, answer: ServiceAnswer, n: int) -> dict[str, Any]:
    objective = tenant.objectives[n]
    value = answer.value(objective)
    return {
        "objective": str(objective),
        "limit": objective.limit_s,
        "predicted": value,
        "met": answer.meets(objective),
        "margin": None if value is None else 1.0 - value / objective.limit_s,
    }


def instance_groups(plan: PackPlan, m: int, on: Sequence[PlacedGpu]) -> Iterator[dict[str, Any]]:
    """Triton's `instance_group`: one entry a node and number of instances on each GPU; one a server on a MIG slice.

    A process sees one MIG slice only, as its GPU 0.
    """
    spec = plan.question.tenants[m].profile(plan.options[m].kind).spec
    instances = spec.limits.instances if spec.engine == "triton" else 1
    together: dict[tuple[str, int], list[int]] = {}
    for gpu in on:
        mine = [each for each in gpu.replicas if each.model == m]
        if gpu.slices:
            for each in mine:
                name = gpu.slices[each.slice or 0][0].name
                where = {"node": gpu.node, "gpu": gpu.index, "slice": name}
                yield {**where, "kind": "KIND_GPU", "count": instances, "gpus": [0]}
        else:
            together.setdefault((gpu.node, instances * len(mine)), []).append(gpu.index)
    for (node, count), gpus in together.items():
        yield {"node": node, "gpu": None, "slice": None, "kind": "KIND_GPU", "count": count, "gpus": sorted(gpus)}


def _percentage(plan: PackPlan, m: int, on: Sequence[PlacedGpu]) -> int | None:
    """CUDA_MPS_ACTIVE_THREAD_PERCENTAGE of a replica where it shares a GPU with the most others."""
    most = max(len(gpu.replicas) for gpu in on)
    option = plan.options[m]
    if on[0].slices or most == 1 or plan.question.kinds[option.kind].equal_turns:
        return None
    return min(100, math.ceil(100.0 * granted(plan.question.kinds[option.kind], option, most) - 1e-6))


def assumptions(plan: PackPlan) -> Iterator[str]:
    """What the answer rests on."""
    shared = [gpu for gpu in plan.gpus if len(gpu.replicas) > 1 and not gpu.slices]
    if shared:
        yield (
            "a replica that shares a GPU is predicted as if it got its share of the GPU's time and no more: every "
            "batch or step takes 1/share as long (processor sharing with guaranteed shares; docs/packing.md)"
        )
    for index in sorted({gpu.kind for gpu in shared}):
        yield _division(plan.question.kinds[index])
    for index in sorted({gpu.kind for gpu in shared}):
        kind = plan.question.kinds[index]
        if plan.question.file.gpus[index].time_sharing.interference is None:
            yield (
                f"interference on {kind.name} is not measured: {STATED_SLOWDOWN:g} times as slow is assumed of "
                "replicas that share a GPU (timeSharing.interference says what you measured)"
            )
        else:
            steps = ", ".join(f"{each:g}" for each in kind.interference.slowdowns[1:])
            yield f"interference on {kind.name} as the file has it: {steps} times as slow where 2, 3 … replicas share"
    if any(gpu.slices for gpu in plan.gpus):
        yield (
            "a MIG slice is as fast as the least of its shares of multiprocessors, compute slices and memory "
            "bandwidth, and its neighbours cost it nothing; one replica a slice"
        )
    yield "a replica is a process of its own with 0.6 GiB for its CUDA context"
    for index in sorted({gpu.kind for gpu in plan.gpus}):
        fields = plan.question.file.gpus[index]
        yield f"{fields.usable_memory:.0%} of the memory of {fields.type} is handed out"
    for m, tenant in enumerate(plan.question.tenants):
        for note in tenant.memory[plan.options[m].kind].derived:
            yield f"{tenant.name}: {note}"


def _division(kind: GpuKind) -> str:
    if kind.equal_turns:
        return (
            f"replicas on one {kind.name} take equal turns (plain time slicing, or one Triton server), so that each of "
            "q is sure of 1/q; `timeSharing: {division: mps}` packs by unequal shares and needs CUDA MPS"
        )
    return (
        f"each replica on one {kind.name} is a client of CUDA MPS with its active thread percentage; without MPS "
        "large shares are not granted, and p99 was up to twice what is predicted in a simulation"
    )


def warnings(plan: PackPlan) -> Iterator[str]:
    """Where the answer is less sure than it looks."""
    yield from plan.packing.notes
    for tenant, answer in zip(plan.question.tenants, plan.answers, strict=True):
        if answer.utilization > 0.9:
            yield (
                f"{tenant.name} works at {answer.utilization:.0%} of its share: above 90 % latencies take minutes to "
                "settle and follow every change of the load"
            )
    yield from _slow_neighbours(plan)
    slices = {o.slice for o in plan.options if o.slice and plan.question.kinds[o.kind].name.startswith("H200")}
    if slices:
        yield "memory of MIG slices of H200 is an estimate: compare it with `nvidia-smi mig -lgip`"


def _slow_neighbours(plan: PackPlan) -> Iterator[str]:
    """Models beside one whose longest batch takes much of their objective, should the GPU not interrupt it."""
    pairs = [
        (m, other)
        for m in range(len(plan.options))
        for other in sorted(set().union(*(gpu.models for gpu in plan.gpus if m in gpu.models and not gpu.slices)))
        if other != m and _holds_up(plan, m, other)
    ]
    tenants = plan.question.tenants
    named = [
        f"{tenants[m].name} beside {tenants[other].name} ({format_seconds(_longest_batch(plan, other))})"
        for m, other in pairs[:_NAMED]
    ]
    more = f" and {len(pairs) - _NAMED:,} other pairs" if len(pairs) > _NAMED else ""
    if named:
        yield (
            f"a neighbour's batch takes half of an objective or more: {', '.join(named)}{more}; where the GPU lets "
            "batches run to their end one at a time the objective breaks, and antiAffinity.notWith keeps them apart"
        )


_NAMED = 3


def _holds_up(plan: PackPlan, m: int, other: int) -> bool:
    limits = [each.limit_s for each in plan.question.tenants[m].objectives]
    return _longest_batch(plan, other) >= 0.5 * min(limits)


def _longest_batch(plan: PackPlan, m: int) -> float:
    """Seconds with the GPU alone; 0 for engines that make tokens, whose steps are short."""
    profile = plan.question.tenants[m].profile(plan.options[m].kind)
    return float(profile.to_batcher().means_s.max()) if profile.spec.engine == "triton" else 0.0
