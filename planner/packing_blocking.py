"""What blocks a tighter packing: what one GPU fewer lacks, and what each family of constraints costs.

A family costs what a packing without it saves: it is solved again without, in what is left of the time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.packing import Packing
from planner.packing_plan import APART, COMPUTE, COUNTS, MEMORY, MINIMUM, PackPlan
from planner.packing_solver import solve
from planner.units import format_bytes, format_number

Clock = Callable[[], float]
_MOST_ALONE = 5
"""Models whose own anti-affinity is weighed."""
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """The packing without a family of constraints."""

    constraint: str
    cost: float | None
    gpus: int | None
    saves: float
    solved: bool
    """Whether it was solved in time, to the gap of the packing or better."""
    words: str


@dataclass(frozen=True, kw_only=True)
class OneFewer:
    """What one GPU fewer of the type that is used most would do."""

    kind: int
    gpus: int
    proven: bool
    """That no packing of these models does with fewer; else only none was found."""
    reasons: tuple[str, ...]


def one_fewer(plan: PackPlan) -> OneFewer:
    """What the sums say of one GPU fewer."""
    kind = max(range(len(plan.question.kinds)), key=plan.used)
    gpus = plan.used(kind) - 1
    price = plan.question.kinds[kind].price
    proven = plan.packing.bound > plan.cost - price + 1e-6
    reasons = tuple(_lacking(plan, kind, gpus)) or (_of_whole(plan, kind, proven=proven),)
    return OneFewer(kind=kind, gpus=gpus, proven=proven, reasons=reasons)


def _lacking(plan: PackPlan, kind: int, gpus: int) -> Iterator[str]:
    """Sums over models whose replicas share GPUs of this kind; the other GPUs stay as they are."""
    gpu, tenants = plan.question.kinds[kind], plan.question.tenants
    own = [
        (m, o)
        for m, o in enumerate(plan.options)
        if o.kind == kind and o.slice is None and o.gpus * o.nodes == 1 and tenants[m].sharing in ("time", "any")
    ]
    left = gpus - sum(each.kind == kind and not each.models <= {m for m, _ in own} for each in plan.gpus)
    if own and left >= 0:
        memory = {tenants[m].name: o.replicas * o.memory_bytes for m, o in own}
        room = left * gpu.memory_bytes
        if sum(memory.values()) > room:
            yield (
                f"memory: short by {format_bytes(sum(memory.values()) - room)} ({format_bytes(sum(memory.values()))} "
                f"needed, {format_bytes(room)} left to share); the largest are {_largest(memory, format_bytes)}"
            )
        share = {tenants[m].name: o.replicas * o.share for m, o in own}
        # Replicas that are alone lose nothing to interference, so that this is the least that is needed.
        if sum(share.values()) > left:
            yield (
                f"compute share: the time of {format_number(sum(share.values()))} GPUs is needed and {left} would be "
                f"left to share; the largest are {_largest(share, format_number)}"
            )
    for m, option in own:
        if tenants[m].fields.anti_affinity.spread and option.replicas > gpus:
            yield f"anti-affinity: {tenants[m].name} has {option.replicas} replicas, each on a GPU of its own"


def _of_whole(plan: PackPlan, kind: int, *, proven: bool) -> str:
    """Where no sum says it: replicas with GPUs or slices of their own, or ones that do not divide."""
    whole = {
        plan.question.tenants[m].name: float(o.replicas * o.gpus * o.nodes)
        for m, o in enumerate(plan.options)
        if o.kind == kind and o.slice is None and plan.question.tenants[m].sharing not in ("time", "any")
    }
    shares = any(
        o.kind == kind and o.slice is None and plan.question.tenants[m].sharing in ("time", "any")
        for m, o in enumerate(plan.options)
    )
    if whole and not shares:
        return f"whole GPUs: {_largest(whole, format_number)}"
    if any(o.kind == kind and o.slice is not None for o in plan.options):
        return "no layouts of so few GPUs hold the slices"
    return "in sum the replicas would fit; whole ones do not divide so" if proven else "no tighter packing was found"


def _largest(sizes: dict[str, float], form: Callable[[float], str]) -> str:
    ordered = sorted(sizes.items(), key=lambda each: -each[1])[:_NAMED]
    return ", ".join(f"{name} {form(size)}" for name, size in ordered)


def blocking(plan: PackPlan, *, time_limit_s: float, clock: Clock) -> tuple[Relaxation, ...]:
    """Each family that is there to bind, solved again without it."""
    end = clock() + time_limit_s
    families = [family for family in (MEMORY, COMPUTE, APART, MINIMUM, COUNTS) if _is_there(plan, family)]
    found: list[Relaxation] = []
    for number, family in enumerate(families):
        left = (end - clock()) / (len(families) - number)
        found.append(_without(plan, family, left, clock))
    together = next((each for each in found if each.constraint == APART), None)
    if together is not None and together.saves > 1e-6:
        apart = [m for m, tenant in enumerate(plan.question.tenants) if _keeps_apart(plan, m)]
        for m in apart[:_MOST_ALONE] if len(apart) > 1 else []:
            found.append(_without(plan, APART, max(0.2, (end - clock()) / _MOST_ALONE), clock, only=m))  # noqa: PERF401
    return tuple(found)


def _keeps_apart(plan: PackPlan, m: int) -> bool:
    apart = plan.question.tenants[m].fields.anti_affinity
    return apart.spread is not None or bool(apart.not_with)


def _is_there(plan: PackPlan, family: str) -> bool:
    tenants = plan.question.tenants
    if family == APART:
        return any(_keeps_apart(plan, m) for m in range(len(tenants)))
    if family == MINIMUM:
        return any(
            option.replicas == tenant.fields.min_replicas > 1
            for tenant, option in zip(tenants, plan.options, strict=True)
        )
    if family == COUNTS:
        return (
            any(plan.used(k) == kind.count for k, kind in enumerate(plan.question.kinds))
            and len(plan.question.kinds) > 1
        )
    return True


def _without(plan: PackPlan, family: str, time_limit_s: float, clock: Clock, only: int | None = None) -> Relaxation:
    name = "" if only is None else plan.question.tenants[only].name
    what = f"{family} of {name}" if name else family
    found: Packing | None = None
    if time_limit_s > 0.05:
        found = solve(plan.question.problem(family, only=only), time_limit_s=time_limit_s, clock=clock)
    if found is None:
        return Relaxation(
            constraint=what, cost=None, gpus=None, saves=0.0, solved=False,
            words=f"{what}: not weighed within the time limit",
        )  # fmt: skip
    saves = plan.cost - found.cost
    solved = found.gap <= max(0.01, plan.packing.gap)
    return Relaxation(
        constraint=what,
        cost=found.cost if plan.question.priced else None,
        gpus=found.gpus,
        saves=max(0.0, saves),
        solved=solved,
        words=_words(plan, what, found, saves),
    )


def _words(plan: PackPlan, what: str, found: Packing, saves: float) -> str:
    if saves <= 1e-6:
        least = f" (at least {found.bound:,.2f})" if not found.optimal else ""
        return f"{what}: costs nothing; without it the packing found is no cheaper{least}"
    gpus = f"{found.gpus:,} GPUs" if found.gpus != 1 else "1 GPU"
    if plan.question.priced:
        return f"{what}: without it {gpus} would do, ${found.cost:,.2f} an hour (${saves:,.2f} less)"
    return f"{what}: without it {gpus} would do"
