"""A profile carried to another layout of GPUs: tensor and pipeline parallelism, in one node or across several.

What comes out is an estimate and says so in its provenance; a benchmark on the layout itself replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.collectives import Link
from models.errors import InvalidInput, NoFeasiblePlan
from models.layout_change import LayoutChange, carried_over
from models.parallel_layout import Layout, Talk, talk
from models.step_terms import terms_of
from models.step_time import ExpertsStepTime
from planner.architecture import ModelShape
from planner.hardware import LAUNCH_S, LINK_EFFICIENCY, Gpu, find_gpu, find_model, precision_of
from planner.memory_budget import MemoryBudget, memory_budget, ways_to_fit
from planner.profile import EngineProfile, Provenance, StepTimeTerms

LEAST_SEQUENCE = 512
"""Tokens of KV that a replica must hold at least, where nothing is said of lengths."""
_FIELDS = {
    "base_s": "base",
    "per_prefill_token_s": "perPrefillToken",
    "per_decode_s": "perDecodeSequence",
    "per_kv_token_s": "perKvToken",
    "per_sqrt_decode_s": "perSqrtDecode",
    "per_expert_s": "perExpert",
}


@dataclass(frozen=True, kw_only=True)
class Parallelism:
    """The layout that is asked for; None where the profile or the data sheet says it."""

    tensor: int | None = None
    pipeline: int | None = None
    nodes_per_replica: int | None = None
    link_bytes_per_s: float | None = None
    """Between nodes, for each GPU, one direction, as reached."""
    link_latency_s: float | None = None

    def between(self, gpu: Gpu) -> Link:
        """The link between nodes: as stated, else of the data sheet."""
        sheet = gpu.between
        return Link(
            bytes_per_s=self.link_bytes_per_s or sheet.bytes_per_s,
            latency_s=sheet.latency_s if self.link_latency_s is None else self.link_latency_s,
        )


def on_layout(
    profile: EngineProfile,
    wanted: Parallelism,
    *,
    measured: bool = True,
    sequence_tokens: float = LEAST_SEQUENCE,
) -> EngineProfile:
    """The profile on the layout; as it is where it was measured on that, which one of data sheets never was.

    `sequence_tokens` must fit in KV memory at least. Raises NoFeasiblePlan where the model does not
    fit, with the arithmetic, and InvalidInput where too little is known to carry it over.
    """
    spec = profile.spec
    if spec.engine == "triton":
        raise InvalidInput(
            f"profile {profile.name} is of a dynamic batcher, whose models are not spread over GPUs here",
            remedy="drop the parallelism, or use a profile of vllm or triton-trtllm",
        )
    gpu, shape = _sheets(profile)
    before, after = _before(profile, gpu), _after(profile, gpu, wanted)
    as_before = before == after and wanted.link_bytes_per_s is None and wanted.link_latency_s is None
    if as_before and measured:
        return profile
    _require_divides(shape, after)
    budget = require_room(profile, gpu, shape, after, sequence_tokens)
    if as_before:
        return _with_memory(profile, budget)
    between = wanted.between(gpu)
    change = LayoutChange(
        before=before,
        after=after,
        talk_before=_talk(shape, before, gpu, gpu.between),
        talk_after=_talk(shape, after, gpu, between),
        launch_s=LAUNCH_S,
        kv_ratio=_kv_bytes(shape, after) / _kv_bytes(shape, before),
    )
    return _derived(profile, change, budget, _note(profile, gpu, shape, change, between))


def require_room(
    profile: EngineProfile, gpu: Gpu, shape: ModelShape, layout: Layout, sequence_tokens: float
) -> MemoryBudget | None:
    """The memory of the layout; None where its precision is not known. Raises NoFeasiblePlan with the arithmetic."""
    precision, limits = precision_of(profile.spec.quantization), profile.spec.limits.to_limits()
    budget = memory_budget(
        gpu, shape, precision=precision, limits=limits, gpus=layout.gpus, pipeline_parallel=layout.pipeline
    )
    if budget is None or budget.kv_tokens >= sequence_tokens:
        return budget
    ways = ways_to_fit(
        gpu, shape, precision=precision, limits=limits, gpus=layout.gpus, sequence_tokens=int(sequence_tokens)
    )
    said = [
        f"{way.gpus} GPUs ({_nodes(-(-way.gpus // gpu.gpus_per_node))} of {gpu.gpus_per_node}) at {way.precision} "
        f"leave {way.kv_tokens:,} tokens of KV"
        for way in ways
    ]
    raise NoFeasiblePlan(
        f"{shape.name} at {precision} does not fit on {layout.gpus} × {gpu.name} ({_nodes(layout.nodes)}); on each: "
        f"{budget.arithmetic()}, {budget.kv_tokens:,} tokens where one sequence needs {sequence_tokens:,.0f}",
        remedy="; or ".join(said) or "use fewer bits, GPUs with more memory, or more pipeline stages",
    )


def _nodes(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"


def _sheets(profile: EngineProfile) -> tuple[Gpu, ModelShape]:
    gpu, shape = find_gpu(profile.spec.gpu.type), find_model(profile.spec.model)
    if gpu is None or shape is None or shape.layers is None or shape.kv_bytes_per_token() is None:
        what = f"GPU {profile.spec.gpu.type}" if gpu is None else f"model {profile.spec.model}"
        raise InvalidInput(
            f"profile {profile.name} cannot be carried to another layout: the shape of {what} is not known",
            remedy="measure a profile on that layout (`planner profile sweep`)",
        )
    return gpu, shape


def _before(profile: EngineProfile, gpu: Gpu) -> Layout:
    stated = profile.spec.gpu
    tensor = stated.tensor_parallel
    if tensor * stated.pipeline_parallel != stated.per_replica:  # data sets often state the GPUs alone
        tensor = stated.per_replica // stated.pipeline_parallel
    return _laid_out(tensor, stated.pipeline_parallel, stated.nodes_per_replica, gpu)


def _after(profile: EngineProfile, gpu: Gpu, wanted: Parallelism) -> Layout:
    before = _before(profile, gpu)
    return _laid_out(wanted.tensor or before.tensor, wanted.pipeline or before.pipeline, wanted.nodes_per_replica, gpu)


def _laid_out(tensor: int, pipeline: int, nodes: int | None, gpu: Gpu) -> Layout:
    whole = tensor * pipeline
    if nodes is not None and nodes > whole:
        raise InvalidInput(
            f"a replica of {whole} GPU{'' if whole == 1 else 's'} (tensor {tensor} × pipeline {pipeline}) does not "
            f"span {nodes} nodes",
            remedy="drop --nodes-per-replica (nodesPerReplica), or raise --tensor-parallel or --pipeline-parallel",
        )
    nodes = max(nodes or 1, -(-whole // gpu.gpus_per_node))
    try:
        # Where they do not spread evenly, Layout refuses what the division leaves.
        return Layout(tensor=tensor, pipeline=pipeline, gpus_per_node=-(-whole // nodes))
    except InvalidInput as error:
        raise InvalidInput(
            f"tensor {tensor} × pipeline {pipeline} on {gpu.name}: {error}",
            remedy=f"use sizes that divide, or are multiples of, the {gpu.gpus_per_node} GPUs of a node",
        ) from None


def _require_divides(shape: ModelShape, layout: Layout) -> None:
    """As vLLM asks at start-up: whole heads a GPU, and a layer a stage at least."""
    if shape.heads % layout.tensor or layout.pipeline > (shape.layers or 1):
        raise InvalidInput(
            f"{shape.name} has {shape.heads} attention heads and {shape.layers} layers: tensor {layout.tensor} × "
            f"pipeline {layout.pipeline} does not divide them, and engines refuse to start so",
            remedy=f"use a tensor-parallel size that divides {shape.heads} and at most {shape.layers} stages",
        )


def _talk(shape: ModelShape, layout: Layout, gpu: Gpu, between: Link) -> Talk:
    return talk(shape.layers or 0, shape.hidden, layout, gpu.inside, between)


def _kv_bytes(shape: ModelShape, layout: Layout) -> float:
    found = shape.kv_bytes_per_token(tensor_parallel=layout.tensor)
    assert found is not None
    return found


def _derived(profile: EngineProfile, change: LayoutChange, budget: MemoryBudget | None, note: str) -> EngineProfile:
    spec, after = profile.spec, change.after
    step_time = carried_over(profile.fitted.step_time, change)
    terms: dict[str, Any] = {_FIELDS[name]: term for name, term in terms_of(step_time).items()}
    if isinstance(step_time, ExpertsStepTime):
        terms |= {"experts": step_time.experts, "expertsPerToken": step_time.experts_per_token}
    kept, more = spec.limits.kv_cache_tokens, after.gpus / change.before.gpus
    kv_tokens = None if kept is None else int(kept * min(more, more**2))  # weights take their part of fewer GPUs
    limits = spec.limits.model_copy(update={"kv_cache_tokens": kv_tokens if budget is None else budget.kv_tokens})
    gpu = spec.gpu.model_copy(
        update={
            "per_replica": after.gpus,
            "tensor_parallel": after.tensor,
            "pipeline_parallel": after.pipeline,
            "nodes_per_replica": after.nodes,
        }
    )
    derived = spec.model_copy(
        update={
            "gpu": gpu,
            "limits": limits,
            "step_time": StepTimeTerms.model_validate(terms),
            "step_time_uncertainty": None,
            "cold_start": None,
            "measurements": (),
            "provenance": (*spec.provenance, Provenance(source="derived", notes=(note,))),
        }
    )
    name = f"{profile.name[:200]}-on-tp{after.tensor}-pp{after.pipeline}"
    # A new object: what was computed of the old one (`fitted`) is not of this one.
    return EngineProfile(
        apiVersion=profile.api_version,
        kind=profile.kind,
        metadata=profile.metadata.model_copy(update={"name": name}),
        spec=derived,
    )


def _with_memory(profile: EngineProfile, budget: MemoryBudget | None) -> EngineProfile:
    """A profile of data sheets on one GPU, which are for that."""
    kv_tokens = None if budget is None else budget.kv_tokens
    limits = profile.spec.limits.model_copy(update={"kv_cache_tokens": kv_tokens})
    return EngineProfile(
        apiVersion=profile.api_version,
        kind=profile.kind,
        metadata=profile.metadata,
        spec=profile.spec.model_copy(update={"limits": limits}),
    )


def _note(profile: EngineProfile, gpu: Gpu, shape: ModelShape, change: LayoutChange, between: Link) -> str:
    before, after, spent = change.before, change.after, change.talk_after
    hops = " and hops between stages" if after.pipeline > 1 else ""
    far = f"{between.bytes_per_s / 1e9:.3g} GB/s and {between.latency_s * 1e6:.3g} µs between nodes, "
    return (
        f"an ESTIMATE for tensor {after.tensor} × pipeline {after.pipeline} on {_nodes(after.nodes)}, "
        f"not measured there: carried over from {profile.name} "
        f"({before.tensor} × {before.pipeline}) with two all-reduces a layer ({shape.layers} layers of "
        f"{shape.hidden} values){hops}; links {gpu.inside.bytes_per_s / 1e9:.3g} GB/s "
        f"({LINK_EFFICIENCY:.0%} of the data sheet) and {gpu.inside.latency_s * 1e6:.3g} µs in a node, "
        f"{far if after.nodes > 1 else ''}which cost {spent.fixed_s * 1e3:.3g} ms a step and "
        f"{spent.per_token_s * 1e6:.3g} µs a token; {_how_far_off(after)}"
    )


def _how_far_off(layout: Layout) -> str:
    if layout.nodes > 1 or layout.pipeline > 1:
        return "simulated, not measured, are pipelines; links between nodes are as stated (docs/layout-accuracy.md)"
    return "so carried over, measured times were missed by 15 % in the median (docs/layout-accuracy.md)"
