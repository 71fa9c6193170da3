"""Whether a packing holds, looked at afresh: GPU by GPU and model by model, without what the programme made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from models.packing import GpuKind, Option
from planner.packing_placement import PlacedGpu
from planner.packing_tenant import Tenant
from planner.service import ServiceAnswer
from planner.stretched_service import with_share
from planner.units import format_bytes

_ROUNDING = 1e-6


def granted(kind: GpuKind, option: Option, neighbours: int) -> float:
    """The share of the GPU's time that a replica takes where so many replicas, it among them, are on the GPU."""
    if neighbours == 1:
        return 1.0
    return 1.0 / neighbours if kind.equal_turns else option.share * kind.interference.slowdown(neighbours)


def effective_share(kind: GpuKind, option: Option, gpus: Sequence[PlacedGpu], model: int) -> float:
    """The share that every replica of a model has at least, interference taken off; of a slice, its part of the GPU."""
    if option.slice is not None and kind.mig is not None:
        return next(each.compute for each in kind.mig.slices if each.name == option.slice)
    most = max(len(gpu.replicas) for gpu in gpus if model in gpu.models)
    if most == 1:
        return 1.0
    return kind.interference.capacity(most) / most if kind.equal_turns else option.share


def answers(
    tenants: Sequence[Tenant], kinds: Sequence[GpuKind], chosen: Sequence[Option], gpus: Sequence[PlacedGpu]
) -> tuple[ServiceAnswer, ...]:
    """What each model's replicas do with what they have been given."""
    found = []
    for m, (tenant, option) in enumerate(zip(tenants, chosen, strict=True)):
        share = effective_share(kinds[option.kind], option, gpus, m)
        found.append(with_share(tenant.services[option.kind], share).predict(option.replicas))
    return tuple(found)


def faults(
    tenants: Sequence[Tenant],
    kinds: Sequence[GpuKind],
    chosen: Sequence[Option],
    gpus: Sequence[PlacedGpu],
    found: Sequence[ServiceAnswer],
) -> list[str]:
    """Everything that does not hold, in words; empty where the packing is right."""
    lines = [line for gpu in gpus for line in _gpu_faults(tenants, kinds, chosen, gpu)]
    lines += _place_faults(kinds, gpus)
    for m, tenant in enumerate(tenants):
        lines += _model_faults(tenant, chosen[m], [gpu for gpu in gpus if m in gpu.models], m)
        broken = [each for each in tenant.objectives if not found[m].meets(each)]
        lines += [f"{tenant.name} breaks {each}" for each in broken]
    return lines


def _gpu_faults(
    tenants: Sequence[Tenant], kinds: Sequence[GpuKind], chosen: Sequence[Option], gpu: PlacedGpu
) -> Iterator[str]:
    kind, where = kinds[gpu.kind], f"{gpu.node}/{gpu.index}"
    needs = [tenants[each.model].memory[gpu.kind].total for each in gpu.replicas]
    for each in gpu.models:
        beside = gpu.models & {
            i for i, t in enumerate(tenants) if t.name in tenants[each].fields.anti_affinity.not_with
        }
        if beside:
            yield f"{where}: {tenants[each].name} beside {tenants[min(beside)].name}"
    if gpu.slices:
        yield from _slice_faults(kind, gpu, needs, where)
        return
    if sum(needs) > kind.memory_bytes * (1.0 + _ROUNDING):
        yield f"{where}: {format_bytes(sum(needs))} of memory, more than {format_bytes(kind.memory_bytes)}"
    together = len(gpu.replicas)
    if together > max(1, kind.most_replicas):
        yield f"{where}: {together} replicas"
    shares = [granted(kind, chosen[each.model], together) for each in gpu.replicas]
    if sum(shares) > 1.0 + _ROUNDING:
        yield f"{where}: shares sum to {sum(shares):.3f}"
    wanted = [chosen[each.model].share * kind.interference.slowdown(together) for each in gpu.replicas]
    if together > 1 and any(want > share + _ROUNDING for want, share in zip(wanted, shares, strict=True)):
        yield f"{where}: a replica gets less than its share"
    if together > 1 and any(tenants[m].sharing not in ("time", "any") for m in gpu.models):
        yield f"{where}: a model that shares no GPU's time"


def _slice_faults(kind: GpuKind, gpu: PlacedGpu, needs: Sequence[float], where: str) -> Iterator[str]:
    if kind.mig is None:
        yield f"{where}: cut, and may not be"
        return
    taken = Counter(start + i for each, start in gpu.slices for i in range(each.memory_slices))
    if any(n > 1 for n in taken.values()) or any(at >= kind.mig.memory_slices for at in taken):
        yield f"{where}: slices overlap"
    if any(start not in each.starts for each, start in gpu.slices):
        yield f"{where}: a slice starts where none may"
    if sum(each.compute_slices for each, _ in gpu.slices) > kind.mig.compute_slices:
        yield f"{where}: more compute slices than there are"
    used = Counter(each.slice for each in gpu.replicas)
    if None in used or any(n > 1 for n in used.values()):
        yield f"{where}: replicas and slices do not match"
        return
    for replica, need in zip(gpu.replicas, needs, strict=True):
        room = gpu.slices[replica.slice or 0][0].memory_bytes
        if need > room * (1.0 + _ROUNDING):
            yield f"{where}: {format_bytes(need)} in a slice of {format_bytes(room)}"


def _place_faults(kinds: Sequence[GpuKind], gpus: Sequence[PlacedGpu]) -> Iterator[str]:
    places = Counter((gpu.node, gpu.index) for gpu in gpus)
    if any(n > 1 for n in places.values()):
        yield "two GPUs in one place"
    for k, kind in enumerate(kinds):
        own = [gpu for gpu in gpus if gpu.kind == k]
        if len(own) > kind.count or any(not 0 <= gpu.index < kind.per_node for gpu in own):
            yield f"more {kind.name} than there are"


def _model_faults(tenant: Tenant, option: Option, on: Sequence[PlacedGpu], m: int) -> Iterator[str]:
    fields, mine = tenant.fields, [each for gpu in on for each in gpu.replicas if each.model == m]
    parts = option.gpus * option.nodes
    if len(mine) != option.replicas * parts:
        yield f"{tenant.name}: {len(mine)} parts of replicas, not {option.replicas * parts}"
    if option.replicas < fields.min_replicas or option.replicas > (fields.max_replicas or option.replicas):
        yield f"{tenant.name}: {option.replicas} replicas"
    spread = fields.anti_affinity.spread
    if spread and any(sum(each.model == m for each in gpu.replicas) > 1 for gpu in on):
        yield f"{tenant.name}: two replicas on one GPU"
    if spread == "node":
        nodes = Counter(
            node for node, _ in {(gpu.node, gpu.replicas[0].group if parts > 1 else gpu.index) for gpu in on}
        )
        if any(n > 1 for n in nodes.values()):
            yield f"{tenant.name}: two replicas on one node"
