"""The plan of `planner pack`: options of every model, the cheapest packing, and its check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.errors import InvalidInput, NoFeasiblePlan
from models.packing import GpuKind, Option, PackedModel, Packing, PackingProblem, node_sizes
from planner.packing_check import answers, faults
from planner.packing_counts import beyond
from planner.packing_fields import PackFile
from planner.packing_options import Ways, ways, why_none
from planner.packing_placement import PlacedGpu
from planner.packing_solver import solve
from planner.packing_spread import solve_with_nodes
from planner.packing_tenant import Tenant
from planner.parallel import cores, map_in_order
from planner.service import ServiceAnswer

Clock = Callable[[], float]
SHARE_OF_SEARCH = 0.7
"""Of the time limit, for the packing itself; the rest is for what-if questions."""

LEAST_MODELS_A_CORE = 12
"""Another process takes as long to start as it takes to size about so many."""

MEMORY, COMPUTE, APART, MINIMUM, COUNTS = (
    "memory", "compute share", "anti-affinity", "minimum replicas", "GPU counts",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class PackQuestion:
    """Models and GPUs, with every option of every model."""

    file: PackFile
    path: Path
    kinds: tuple[GpuKind, ...]
    tenants: tuple[Tenant, ...]
    ways: tuple[Ways, ...]

    @property
    def priced(self) -> bool:
        """Whether GPUs have prices; without them cost is their number."""
        return self.file.gpus[0].price_per_hour is not None

    @property
    def complete(self) -> bool:
        """Whether no number of replicas that was not tried could be worth more."""
        return all(each.complete for found in self.ways for each in found.counts)

    def problem(self, *relaxed: str, only: int | None = None) -> PackingProblem:
        """In plain numbers; families of constraints that are named are left out (anti-affinity: of one model only)."""
        names = {tenant.name: m for m, tenant in enumerate(self.tenants)}
        free = set() if APART not in relaxed else set(range(len(self.tenants))) if only is None else {only}
        return PackingProblem(
            models=tuple(self._model(m, names, free, relaxed) for m in range(len(self.tenants))),
            kinds=tuple(replace(kind, count=_more(kind)) if COUNTS in relaxed else kind for kind in self.kinds),
        )

    def nodes(self, option: Option, *, more: bool = False) -> int:
        """Nodes that can have a replica of this option, or a part of one."""
        kind = self.kinds[option.kind]
        sizes = node_sizes(replace(kind, count=_more(kind)) if more else kind)
        return sum(size >= option.gpus for size in sizes)

    def _model(self, m: int, names: dict[str, int], free: set[int], relaxed: Sequence[str]) -> PackedModel:
        tenant = self.tenants[m]
        apart = tenant.fields.anti_affinity
        others = {names[other] for other in apart.not_with}
        others |= {o for o, t in enumerate(self.tenants) if tenant.name in t.fields.anti_affinity.not_with}
        least = 1 if MINIMUM in relaxed else tenant.fields.min_replicas
        options = [each for each in self.ways[m].options if each.replicas >= least]
        if apart.spread == "node" and m not in free:
            nodes = [self.nodes(each, more=COUNTS in relaxed) for each in options]
            options = [o for o, there in zip(options, nodes, strict=True) if o.replicas * o.nodes <= there]
        return PackedModel(
            name=tenant.name,
            options=tuple(_eased(each, relaxed) for each in options),
            spread=apart.spread is not None and m not in free,
            spread_nodes=apart.spread == "node" and m not in free,
            not_with=frozenset() if m in free else frozenset(others - free),
        )


def _eased(option: Option, relaxed: Sequence[str]) -> Option:
    if MEMORY in relaxed:
        return replace(option, memory_bytes=0.0)
    if COMPUTE in relaxed and option.share < 1.0:
        return replace(option, share=1e-3)
    return option


def _more(kind: GpuKind) -> int:
    return min(100_000, 4 * kind.count + 64)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackPlan:
    """A packing that was checked."""

    question: PackQuestion
    packing: Packing
    options: tuple[Option, ...]
    """That each model takes."""
    gpus: tuple[PlacedGpu, ...]
    answers: tuple[ServiceAnswer, ...]

    @property
    def cost_per_h(self) -> float | None:
        """None without prices."""
        return self.cost if self.question.priced else None

    @property
    def cost(self) -> float:
        """Sum of prices; the number of GPUs where there are none."""
        return sum(self.question.kinds[gpu.kind].price for gpu in self.gpus)

    def used(self, kind: int) -> int:
        """GPUs of a kind that have work."""
        return sum(gpu.kind == kind for gpu in self.gpus)


def ask(file: PackFile, path: Path, kinds: tuple[GpuKind, ...], tenants: tuple[Tenant, ...]) -> PackQuestion:
    """Every model's options. Raises NoFeasiblePlan that names the model which has none."""
    one = partial(ways, kinds=kinds, more=beyond(len(tenants), len(kinds)))
    workers = min(cores(), len(tenants) // LEAST_MODELS_A_CORE)
    found = map_in_order(one, tenants, workers=workers) if workers > 1 else map(one, tenants)
    try:
        return PackQuestion(file=file, path=path, kinds=kinds, tenants=tenants, ways=tuple(found))
    except InvalidInput as error:
        raise InvalidInput(f"file {path}, {error}", remedy=error.remedy) from None


def pack(question: PackQuestion, *, time_limit_s: float, clock: Clock) -> PackPlan:
    """The cheapest packing that is found in time. Raises NoFeasiblePlan with the model or the GPUs that lack."""
    for tenant, found in zip(question.tenants, question.ways, strict=True):
        if not any(each.replicas >= tenant.fields.min_replicas for each in found.options):
            raise why_none(tenant, found)
    problem = question.problem()
    for m, model in enumerate(problem.models):
        if not model.options:
            raise _too_few_nodes(question, m)
    answer = solve_with_nodes(problem, time_limit_s=SHARE_OF_SEARCH * time_limit_s, clock=clock)
    if answer is None:
        raise _too_few(question, time_limit_s=(1.0 - SHARE_OF_SEARCH) * time_limit_s, clock=clock)
    return checked(question, *answer)


def checked(question: PackQuestion, problem: PackingProblem, packing: Packing, gpus: tuple[PlacedGpu, ...]) -> PackPlan:
    """With predictions; a packing that does not hold is a fault of ours."""
    options = tuple(model.options[o] for model, o in zip(problem.models, packing.chosen, strict=True))
    found = answers(question.tenants, question.kinds, options, gpus)
    wrong = faults(question.tenants, question.kinds, options, gpus, found)
    if wrong:
        raise RuntimeError(f"the packing does not hold: {'; '.join(wrong[:3])}")
    return PackPlan(question=question, packing=packing, options=options, gpus=gpus, answers=found)


def _there_are(nodes: int) -> str:
    return "there is 1" if nodes == 1 else f"there are {nodes:,}"


def _too_few_nodes(question: PackQuestion, m: int) -> NoFeasiblePlan:
    """Where no type of GPU has as many nodes as the model has replicas."""
    tenant = question.tenants[m]
    options = [each for each in question.ways[m].options if each.replicas >= tenant.fields.min_replicas]
    least: dict[int, Option] = {}
    for each in options:
        if each.kind not in least or each.replicas < least[each.kind].replicas:
            least[each.kind] = each
    kinds = [
        f"{option.replicas * option.nodes:,} of {question.kinds[k].name}, of which {_there_are(question.nodes(option))}"
        for k, option in least.items()
    ]
    return NoFeasiblePlan(
        f"model {tenant.name!r} has `spread: node`, so that each replica needs another node: {'; or '.join(kinds)}",
        remedy="`spread: gpu` instead of node, more nodes (count, gpusPerNode), or fewer replicas",
    )


def _too_few(question: PackQuestion, *, time_limit_s: float, clock: Clock) -> NoFeasiblePlan:
    """Why no packing was found: with more GPUs, and without anti-affinity."""
    more = solve(question.problem(COUNTS), time_limit_s=0.6 * time_limit_s, clock=clock)
    if more is None:
        return NoFeasiblePlan(
            "no packing was found, not even with four times the GPUs",
            remedy="a longer --time-limit, or less that keeps models apart",
        )
    problem = question.problem(COUNTS)
    used = [0] * len(question.kinds)
    for pattern, count in more.patterns:
        used[pattern.kind] += count
    largest: list[tuple[int, str]] = []
    for model, o in zip(problem.models, more.chosen, strict=True):
        option = model.options[o]
        if option.gpus * option.nodes > 1:
            used[option.kind] += option.replicas * option.gpus * option.nodes
        largest.append((option.replicas * option.gpus * option.nodes, model.name))
    lacking = [
        f"{n:,} {kind.name} where there are {kind.count:,}"
        for n, kind in zip(used, question.kinds, strict=True)
        if n > kind.count
    ]
    names = ", ".join(name for _, name in sorted(largest, reverse=True)[:3])
    if not lacking:
        return NoFeasiblePlan(
            "no packing on these GPUs was found in time", remedy="a longer --time-limit, or more GPUs"
        )
    eased = ""
    if any(t.fields.anti_affinity != type(t.fields.anti_affinity)() for t in question.tenants):
        loose = solve(question.problem(APART), time_limit_s=0.4 * time_limit_s, clock=clock)
        eased = "" if loose is None else "; without antiAffinity the GPUs would do"
    return NoFeasiblePlan(
        f"the GPUs are too few: the models need {' and '.join(lacking)}; most of them {names}",
        remedy=f"give so many, ease objectives, or lower minReplicas{eased}",
    )
