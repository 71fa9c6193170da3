"""The ways to serve one model: how many replicas with which share of which GPU, or on which slice.

On a GPU of its own a replica is what `planner size` sizes. With a share of one, a few numbers of replicas are tried and
for each the least share with which they meet every objective; on a MIG slice the number that its share of the
multiprocessors needs. Everything is asked of `planner.service.Service`, on a profile drawn out by the share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from models.errors import InvalidInput, NoFeasiblePlan
from models.gpu_sharing import STEPS
from models.packing import GpuKind, Option
from planner.objective import as_written
from planner.packing_counts import Counts, most_useful, shares_by_count
from planner.packing_tenant import Tenant
from planner.service import Service
from planner.share_curve import ShareCurve
from planner.stretched_service import with_share
from planner.units import format_bytes


@dataclass(frozen=True, kw_only=True)
class Ways:
    """The options of a model, and why others are none."""

    options: tuple[Option, ...]
    refused: tuple[str, ...] = ()
    counts: tuple[Counts, ...] = ()
    """Numbers of replicas that were tried, by kind of GPU."""


def ways(tenant: Tenant, kinds: Sequence[GpuKind], *, more: int) -> Ways:
    """Every option that is worth considering; those with fewer replicas than minReplicas too, for what-if questions.

    Where replicas share GPUs, up to `more` numbers of them beyond the least are tried.
    """
    counts: list[Counts] = []
    options: list[Option] = []
    refused: list[str] = []
    for index, kind in enumerate(kinds):
        if index not in tenant.services:
            continue
        try:
            options += _on_kind(tenant, _Sizer(tenant, index, _most(tenant, kind)), kind, refused, counts, more)
        except NoFeasiblePlan as error:
            refused.append(f"on {kind.name}: {error}")
        except InvalidInput as error:
            raise InvalidInput(f"model {tenant.name!r}: {error}", remedy=error.remedy) from None
    most = tenant.fields.max_replicas
    kept = [each for each in options if most is None or each.replicas <= most]
    if options and not kept:
        least = min(each.replicas for each in options)
        refused.append(f"it needs {least:,} replicas and maxReplicas is {most:,}")
    return Ways(
        options=tuple(dict.fromkeys(_undominated(kept, tenant.fields.min_replicas))),
        refused=tuple(refused),
        counts=tuple(counts),
    )


def _on_kind(
    tenant: Tenant, sizer: _Sizer, kind: GpuKind, refused: list[str], counts: list[Counts], more: int
) -> Iterator[Option]:
    index = sizer.index
    service, need = tenant.services[index], tenant.memory[index]
    gpu = service.profile.spec.gpu
    nodes = gpu.nodes_per_replica
    each_node = max(1, gpu.per_replica // nodes)
    whole = gpu.per_replica > 1
    if each_node > kind.per_node or each_node * nodes > kind.count:
        refused.append(
            f"a replica takes {gpu.per_replica} {kind.name} ({each_node} of one node), and there are not so many"
        )
        return
    slices = tenant.sharing in ("mig", "any") and not whole and kind.mig is not None
    if slices:
        yield from _on_slices(tenant, index, kind, sizer)
    if need.total > kind.memory_bytes:
        if not slices:
            refused.append(
                f"a replica needs {format_bytes(need.total)} of memory and a {kind.name} has "
                f"{format_bytes(kind.memory_bytes)} to give"
            )
        return
    least = sizer.replicas(1.0)
    start = max(least, tenant.fields.min_replicas)
    if whole:
        for count in sorted({least, start}):
            yield Option(kind=index, replicas=count, share=1.0, memory_bytes=need.total, gpus=each_node, nodes=nodes)
    elif tenant.sharing in ("time", "any") and kind.most_replicas > 1:
        yield from _shares(tenant, sizer, kind, (least, start, more), counts)
    else:
        for count in sorted({least, start}):
            yield Option(kind=index, replicas=count, share=1.0, memory_bytes=need.total)


def _most(tenant: Tenant, kind: GpuKind) -> int:
    room = kind.count * max(kind.most_replicas, 7)
    return min(room, tenant.fields.max_replicas or room)


def _shares(
    tenant: Tenant, sizer: _Sizer, kind: GpuKind, numbers: tuple[int, int, int], counts: list[Counts]
) -> Iterator[Option]:
    """By the least number of replicas for the load, the one that the model must have, and how many more are tried."""
    least, start, more = numbers
    index, fields = sizer.index, tenant.fields
    if fields.share is not None:
        count = sizer.replicas(fields.share)
        shares = dict.fromkeys((count, max(count, fields.min_replicas)), fields.share)
    else:
        most = most_useful(tenant, index, kind)
        # Each share of an engine that makes tokens is searched anew, which takes longer.
        more = more if sizer.curve is not None else 1
        shares, tried, complete = shares_by_count(sizer.share, least=least, start=start, most=most, more=more)
        counts.append(Counts(kind=index, tried=tried, complete=complete))
    for count, share in shares.items():
        yield Option(kind=index, replicas=count, share=share, memory_bytes=tenant.memory[index].total)


def _on_slices(tenant: Tenant, index: int, kind: GpuKind, sizer: _Sizer) -> Iterator[Option]:
    assert kind.mig is not None
    memory = tenant.memory[index].total
    for each in kind.mig.slices:
        if memory > each.memory_bytes:
            continue
        try:
            least = sizer.replicas(each.compute)
        except NoFeasiblePlan:
            continue
        for count in sorted({least, max(least, tenant.fields.min_replicas)}):
            yield Option(kind=index, replicas=count, share=1.0, memory_bytes=memory, slice=each.name)


class _Sizer:
    """Replicas by share and share by replicas of one model on one kind of GPU."""

    def __init__(self, tenant: Tenant, index: int, most: int) -> None:
        self.tenant, self.index, self.service, self.most = tenant, index, tenant.services[index], most
        self.curve = ShareCurve(self.service, tenant.objectives) if ShareCurve.serves(self.service) else None

    def replicas(self, share: float) -> int:
        """The fewest with this share. Raises NoFeasiblePlan."""
        if self.curve is not None:
            with suppress(NoFeasiblePlan):
                return self.curve.least_replicas(share, most=self.most)
            # What says it is not to be had says how near it comes.
        return with_share(self.service, share).size(self.tenant.objectives, max_replicas=self.most).replicas

    def share(self, replicas: int) -> float | None:
        """The least with which so many replicas do, in steps; None where not even 1."""
        if self.curve is not None:
            return self.curve.least_share(replicas)
        return least_share(self.tenant, self.service, replicas)


def least_share(tenant: Tenant, service: Service, replicas: int) -> float | None:
    """The least share of a GPU, in steps, with which so many replicas meet every objective; None where not even 1."""
    answers: dict[int, bool] = {}

    def holds(step: int) -> bool:
        if step not in answers:
            found = with_share(service, step / STEPS).predict(replicas)
            answers[step] = all(found.meets(each) for each in tenant.objectives)
        return answers[step]

    load = service.arrivals.rate_per_s / (replicas * service.capacity_per_s)
    bad, good = min(STEPS - 1, math.floor(load * STEPS)), STEPS
    guess = max(bad + 1, math.ceil(bad / 0.75))
    while guess < STEPS and not holds(guess):
        bad, guess = guess, max(guess + 1, math.ceil(1.3 * guess))
    good = min(guess, STEPS)
    if good == STEPS and not holds(STEPS):
        return None
    while good - bad > 1:
        middle = (good + bad) // 2
        bad, good = (bad, middle) if holds(middle) else (middle, good)
    return good / STEPS


def _undominated(options: Sequence[Option], least: int) -> Iterator[Option]:
    """Without options that another one of the same GPU and form is no worse than in every respect.

    One with fewer replicas than the model must have, which what-if questions ask for, rules out none that has enough.
    """
    for one in options:
        better = [
            each
            for each in options
            if (each.kind, each.slice, each.gpus) == (one.kind, one.slice, one.gpus)
            and each != one
            and each.replicas <= one.replicas
            and each.share <= one.share
            and (each.replicas >= least or one.replicas < least)
        ]
        if not better or one.slice is not None or one.gpus * one.nodes > 1:
            yield one


def why_none(tenant: Tenant, found: Ways) -> NoFeasiblePlan:
    """The error where a model has no option."""
    objectives = ", ".join(as_written(each) for each in tenant.objectives)
    reasons = "; ".join(found.refused) or f"no number of replicas meets {objectives}"
    return NoFeasiblePlan(
        f"model {tenant.name!r} cannot be placed: {reasons}",
        remedy="ease its objectives, use a faster profile, allow more replicas, or give larger GPUs",
    )
