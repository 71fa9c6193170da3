"""How the replicas of a packing stand: alone, on slices, beside others in pods of their own, or in one Triton."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.errors import InvalidInput
from planner.plan_fields import PackedModel, PlacedGpu, PlacedReplica, PlacedSlice

Company = tuple[tuple[str, int], ...]
"""Models in one Triton on a GPU, and how many replicas of each."""


@dataclass(kw_only=True)
class Standing:
    """Replicas by how they stand on their GPUs."""

    alone: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    """GPUs of replicas that have several."""
    sliced: Counter[tuple[str, PlacedSlice | None]] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)
    """In pods of their own on shared GPUs."""
    companies: Counter[Company] = field(default_factory=Counter)
    """In one Triton on a shared GPU."""


def _require_known(gpu: PlacedGpu, models: Mapping[str, PackedModel]) -> None:
    unknown = [each.model for each in gpu.replicas if each.model not in models]
    if unknown or not gpu.replicas:
        what = f"places model {unknown[0]!r}, which is not among its models" if unknown else "has a GPU without a model"
        raise InvalidInput(f"the plan {what}", remedy="render the plan as it was printed")


def standing(placement: Sequence[PlacedGpu], models: Mapping[str, PackedModel]) -> Standing:
    """Of a placement whose models are among `models`. Raises InvalidInput where they are not."""
    found = Standing()
    for gpu in placement:
        _require_known(gpu, models)
        here = [models[each.model] for each in gpu.replicas]
        if gpu.mode == "mig":
            found.sliced.update((each.model, _slice(gpu, each)) for each in gpu.replicas)
        elif gpu.mode == "group":
            found.parts.update(each.name for each in here)
        elif len(here) == 1:
            found.alone[here[0].name] += 1
        elif all(each.engine == "triton" and each.mps_active_thread_percentage is None for each in here):
            found.companies[tuple(sorted(Counter(each.name for each in here).items()))] += 1
        else:
            found.beside.update(each.name for each in here)
    return found


def _slice(gpu: PlacedGpu, replica: PlacedReplica) -> PlacedSlice | None:
    """None where the plan says of the model alone which slices it has."""
    if replica.slice is None or not gpu.slices:
        return None
    if replica.slice >= len(gpu.slices):
        raise InvalidInput(
            f"the plan places model {replica.model!r} on slice {replica.slice} of a GPU with {len(gpu.slices)}",
            remedy="render the plan as it was printed",
        )
    return _anywhere(gpu.slices[replica.slice])


def _anywhere(piece: PlacedSlice) -> PlacedSlice:
    """Slices of one kind are alike wherever they are on the GPU."""
    return piece.model_copy(update={"start": None})
