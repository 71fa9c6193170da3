"""A model of the file as the packer needs it: its service and its memory on each kind of GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidInput
from models.gpu_sharing import Interference
from models.objective import Objective
from models.packing import GpuKind
from planner.hardware import find_gpu
from planner.mig_catalogue import mig_gpu
from planner.objective import parse_objectives
from planner.packing_fields import GpuFields, ModelFields, PackFile
from planner.packing_memory import MemoryNeed, memory_need
from planner.profile import EngineProfile
from planner.service import Service
from planner.service_fields import profile_beside
from planner.stretched_service import with_kv_tokens
from planner.units import parse_bytes

STATED_SLOWDOWN = 1.1
"""Assumed of replicas that share a GPU where nothing was measured: what caches, bandwidth and switching cost."""
_DEFAULT_PER_NODE = 8


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A model and what it needs, by index of the kind of GPU."""

    fields: ModelFields
    objectives: tuple[Objective, ...]
    services: Mapping[int, Service]
    memory: Mapping[int, MemoryNeed]

    @property
    def name(self) -> str:
        """Its name."""
        return self.fields.name

    def profile(self, kind: int) -> EngineProfile:
        """What was measured of it on this kind of GPU."""
        return self.services[kind].profile

    @property
    def sharing(self) -> str:
        """none, mig, time or any: as said, else by engine."""
        if self.fields.sharing is not None:
            return self.fields.sharing
        makes_tokens = any(service.makes_tokens for service in self.services.values())
        if not makes_tokens:
            return "any"
        return "mig" if self.fields.memory.kv_reserve is not None else "none"


def gpu_kinds(file: PackFile, place: str) -> tuple[GpuKind, ...]:
    """The GPUs of the file. Errors name the type."""
    return tuple(_kind(gpu, place) for gpu in file.gpus)


def total_memory(gpu: GpuFields, place: str) -> float:
    """Bytes of one GPU: as said, or of the data sheet."""
    if gpu.memory is not None:
        return parse_bytes(gpu.memory, what="memory")
    sheet = find_gpu(gpu.type)
    if sheet is None:
        raise InvalidInput(
            f"{place}, GPU {gpu.type}: its memory is not known", remedy="add `memory:` to it, such as 24Gi"
        )
    return sheet.memory_bytes


def _kind(gpu: GpuFields, place: str) -> GpuKind:
    sheet = find_gpu(gpu.type)
    per_node = gpu.gpus_per_node or (sheet.gpus_per_node if sheet is not None else _DEFAULT_PER_NODE)
    try:
        mig = mig_gpu(gpu.type, gpu.mig).handing_out(gpu.usable_memory) if gpu.mig else None
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {error}", remedy=error.remedy) from None
    return GpuKind(
        name=gpu.type,
        count=gpu.count,
        per_node=per_node,
        price=1.0 if gpu.price_per_hour is None else gpu.price_per_hour,
        memory_bytes=total_memory(gpu, place) * gpu.usable_memory,
        interference=interference(gpu),
        most_replicas=gpu.time_sharing.most_replicas if gpu.time_sharing.allowed else 1,
        equal_turns=gpu.time_sharing.division == "turns",
        mig=mig,
    )


def interference(gpu: GpuFields) -> Interference:
    """As measured and said in the file, or the stated assumption."""
    said = gpu.time_sharing.interference
    if said is None or isinstance(said, float):
        return Interference.flat(STATED_SLOWDOWN if said is None else said)
    steps = [1.0]
    for each in sorted(said, key=lambda each: each.replicas):
        # Between measured numbers of neighbours the next higher one holds: on the safe side.
        steps += [max(steps[-1], each.slowdown)] * (each.replicas - len(steps))
    return Interference(slowdowns=tuple(steps))


def tenants(file: PackFile, path: Path) -> tuple[Tenant, ...]:
    """Every model with its profiles read. Errors name the model."""
    found = []
    for model in file.models:
        place = f"file {path}, model {model.name!r}"
        try:
            found.append(_tenant(model, file.gpus, path))
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error}", remedy=error.remedy) from None
    return tuple(found)


def _tenant(model: ModelFields, gpus: Sequence[GpuFields], path: Path) -> Tenant:
    objectives = parse_objectives(model.objectives)
    services: dict[int, Service] = {}
    memory: dict[int, MemoryNeed] = {}
    types = []
    for name in (model.profile, *model.other_profiles):
        profile = profile_beside(path.parent, name)
        types.append(profile.spec.gpu.type)
        for index, gpu in enumerate(gpus):
            if profile.spec.gpu.type.lower() != gpu.type.lower():
                continue
            if index in services:
                raise InvalidInput(f"two profiles are of GPU {gpu.type}", remedy="keep one of them")
            service = model.model_copy(update={"profile": name}).service(
                model.qps, base=path.parent, burstiness=model.burstiness
            )
            memory[index] = memory_need(model, profile, total_memory(gpu, f"file {path}"))
            tokens = memory[index].kv_tokens
            services[index] = service if tokens is None else with_kv_tokens(service, tokens)
    if not services:
        raise InvalidInput(
            f"its profile is of GPU {' and '.join(types)}, and the file has {', '.join(gpu.type for gpu in gpus)}",
            remedy="add GPUs of that type, or otherProfiles measured on one of these",
        )
    return Tenant(fields=model, objectives=objectives, services=services, memory=memory)
