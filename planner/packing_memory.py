"""What a replica takes of a GPU's memory: as the file says, or derived for language models; refused where unknown."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import InvalidInput
from planner.hardware import MEMORY_SHARE, find_gpu, find_model, named_quantization, precision_of
from planner.memory_budget import CONTEXT_BYTES, MemoryBudget, memory_budget
from planner.packing_fields import MemoryFields, ModelFields
from planner.profile import EngineProfile
from planner.units import format_bytes, parse_bytes

_WHOLE = (
    "the engine takes {share:.0%} of each of its GPUs, {taken}, and makes KV cache of what is left; with "
    "memory.kvReserve it would take a part"
)


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """Bytes of a replica on each of its GPUs."""

    weights: float
    workspace: float
    kv: float = 0.0
    context: float = CONTEXT_BYTES
    kv_tokens: int | None = None
    """KV memory in tokens of a replica, where it is bounded by a reserve."""
    derived: tuple[str, ...] = ()
    """What was not said and how it was found."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.workspace + self.kv + self.context


def memory_need(model: ModelFields, profile: EngineProfile, gpu_bytes: float) -> MemoryNeed:
    """The memory of a replica of this model on a GPU of so many bytes. Raises InvalidInput where it is not known."""
    if profile.spec.engine == "triton":
        return _of_batcher(model, profile)
    if model.memory.kv_reserve is None:
        return _of_whole_gpus(model, profile, gpu_bytes)
    return _of_part(model, profile)


def _of_batcher(model: ModelFields, profile: EngineProfile) -> MemoryNeed:
    if model.memory.kv_reserve is not None:
        raise InvalidInput(
            f"memory.kvReserve is for engines that make tokens; profile {profile.name} is of a dynamic batcher",
            remedy="drop it",
        )
    said = _said(model.memory)
    missing = [name for name in ("weights", "workspace") if said[name] is None]
    if missing:
        raise InvalidInput(
            f"memory.{missing[0]} is not given, and nothing else tells it for {profile.spec.model}",
            remedy="measure it: the memory of the process in nvidia-smi under its largest batch, less that of an idle "
            "one, is the workspace; 0Gi where weights holds everything",
        )
    return MemoryNeed(weights=said["weights"] or 0.0, workspace=said["workspace"] or 0.0)


def _of_whole_gpus(model: ModelFields, profile: EngineProfile, gpu_bytes: float) -> MemoryNeed:
    """A vLLM process takes its share of the GPU, whatever the model needs: the rest is KV cache."""
    said = _said(model.memory)
    budget = _budget(profile)
    weights = said["weights"] if said["weights"] is not None else (budget.weights if budget else 0.0)
    workspace = said["workspace"] if said["workspace"] is not None else (budget.activations if budget else 0.0)
    taken = MEMORY_SHARE * gpu_bytes
    if weights + workspace + CONTEXT_BYTES > taken:
        raise InvalidInput(
            f"weights of {format_bytes(weights)} and a workspace of {format_bytes(workspace)} on each GPU are more "
            f"than the engine's {format_bytes(taken)}",
            remedy="use a profile with more GPUs a replica, or a narrower quantisation",
        )
    return MemoryNeed(
        weights=weights,
        workspace=workspace,
        kv=taken - weights - workspace - CONTEXT_BYTES,
        derived=(_WHOLE.format(share=MEMORY_SHARE, taken=format_bytes(taken)),),
    )


def _of_part(model: ModelFields, profile: EngineProfile) -> MemoryNeed:
    said, budget, notes = _said(model.memory), _budget(profile), []
    known = {"weights": None, "workspace": None} if budget is None else _by_name(budget)
    parts: dict[str, float] = {}
    for name in ("weights", "workspace"):
        stated, found = said[name], known[name]
        if stated is None and found is None:
            raise InvalidInput(
                f"memory.{name} is not given, and {profile.spec.model} at {_precision(profile)} on "
                f"{profile.spec.gpu.type} is not in the catalogue",
                remedy="give it as the engine reports it at start-up, such as 15Gi",
            )
        parts[name] = stated if stated is not None else float(found or 0.0)
        if stated is None:
            notes.append(f"{name} of {format_bytes(parts[name])} on each GPU follow from the model's shape")
    reserve = said["kvReserve"] or 0.0
    tokens = None
    if budget is not None:
        tokens = int(reserve * budget.stages / budget.kv_per_token)
        notes.append(
            f"a KV reserve of {format_bytes(reserve)} holds {tokens:,} tokens ({budget.kv_per_token / 1024:.0f} KiB "
            "each on a GPU)"
        )
    elif profile.spec.limits.kv_cache_tokens is None:
        raise InvalidInput(
            f"how many tokens memory.kvReserve holds is not known: {profile.spec.model} is not in the catalogue",
            remedy="give limits.kvCacheTokens in the profile, as the engine reports them with this much memory",
        )
    return MemoryNeed(kv=reserve, kv_tokens=tokens, derived=tuple(notes), **parts)


def _by_name(budget: MemoryBudget) -> dict[str, float | None]:
    graphs = budget.runtime - CONTEXT_BYTES
    return {"weights": budget.weights, "workspace": budget.activations + graphs}


def _said(memory: MemoryFields) -> dict[str, float | None]:
    texts = {"weights": memory.weights, "workspace": memory.workspace, "kvReserve": memory.kv_reserve}
    return {name: None if text is None else parse_bytes(text, what=f"memory.{name}") for name, text in texts.items()}


def _precision(profile: EngineProfile) -> str:
    spec = profile.spec
    stated = spec.quantization if spec.quantization not in ("none", "") else named_quantization(spec.model)
    return precision_of(stated)


def _budget(profile: EngineProfile) -> MemoryBudget | None:
    spec = profile.spec
    gpu, shape = find_gpu(spec.gpu.type), find_model(spec.model)
    if gpu is None or shape is None:
        return None
    return memory_budget(
        gpu,
        shape,
        precision=_precision(profile),
        limits=spec.limits.to_limits(),
        gpus=spec.gpu.per_replica,
        pipeline_parallel=spec.gpu.pipeline_parallel,
    )
