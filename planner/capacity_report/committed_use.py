"""Commitments against what services hold: held GPUs at the commitments' prices, and a line of those nobody held.

In each slot what the services of a pool hold is paid at the commitments' prices up to their number, each commitment by
its share of them, and beyond at the pool's own price. Every GPU-hour of a slot has the same part of either. What each
service held in its own slots is summed by price: a stretch of one service has one mixed price, whose parts the table of
mixed prices tells, and no cut of the period moves money from one service to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.capacity_report.commitments import Commitment
from planner.capacity_report.committed_pool import NOTHING, CommittedPool
from planner.capacity_report.history import Slots
from planner.capacity_report.holes import Hole, named
from planner.capacity_report.ledger import LINE, Stretch, iso
from planner.capacity_report.measures import CAUSES, priced, with_ratios
from planner.capacity_report.period import Period
from planner.capacity_report.price_list import PriceLine, PriceList
from planner.capacity_report.price_mix import MixPart, mixed_price
from planner.capacity_report.service_record import ServiceRecord
from planner.capacity_report.stray_commitments import stray_commitments

NOT_HELD = "(committed, not held)"
"""The service of the ledger's lines of commitments that nobody held."""
_NOBODY = "(none)"


@dataclass(frozen=True, kw_only=True, eq=False)
class CommittedUse:
    """What commitments make of the account."""

    not_held: Slots
    """GPUs in each slot of the period, 0 where that is not known."""
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)
    """By service, of the pools that have commitments."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Of the ledger."""
    mixes: list[MixPart] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)


def committed_use(
    commitments: Iterable[Commitment],
    records: Sequence[ServiceRecord],
    prices: PriceList,
    period: Period,
    *,
    covered: int,
) -> CommittedUse:
    """The account of all pools with commitments, over the slots that are over."""
    found = CommittedUse(not_held=np.zeros(period.slots))
    by_pool: dict[tuple[str, str], list[Commitment]] = {}
    for each in commitments:
        by_pool.setdefault(each.pool, []).append(each)
    for name, kept in sorted(by_pool.items()):
        members = [each for each in records if each.accounted.pool == name]
        of_members = {each.accounted.name: prices[each.accounted.name] for each in members}
        pool = _Pool(commitments=kept, members=members, prices=of_members, period=period, covered=covered)
        pool.add_to(found)
        found.holes.extend(stray_commitments(kept, {each.accounted.pool for each in records}))
    return found


@dataclass(frozen=True, kw_only=True)
class _Pool(CommittedPool):
    """What it comes to in the account."""

    def add_to(self, found: CommittedUse) -> None:
        """All of the pool."""
        segments = self.segments
        for at, segment in enumerate(segments, start=1):
            suffix = "" if len(segments) == 1 else f" {at}"
            for record in self.members:
                name = record.accounted.name
                line = self.price_of(self.prices[name], segment)
                parts = self._parts(record, line, segment, f"{line.key} mix{suffix} of {name}")
                found.mixes.extend(parts if len(parts) > 1 else ())
                _extend(found.stretches.setdefault(name, []), self._stretch(line, parts, segment))
            found.lines.extend(self._not_held(segment))
        found.not_held[: self.covered] += np.where(self.told, self.spare, 0.0)
        found.holes.extend(self._holes())

    def _active(self, segment: slice) -> list[tuple[Commitment, float]]:
        """Commitments of a segment and the share that each has of what is committed."""
        whole = float(self.committed[segment.start])
        return [
            (each, each.gpus / whole) for each in self.commitments if segment.start < self.period.slot_of(each.until_s)
        ]

    def _parts(self, record: ServiceRecord, line: PriceLine, segment: slice, mix: str) -> list[MixPart]:
        """GPU-hours that a service held, by what they are paid at; none where it held nothing."""
        own = np.nan_to_num(record.use.allocated[segment])
        gpu_h = float(own.sum()) * self.hours
        if gpu_h <= NOTHING:
            return []
        team = record.accounted.fields.team
        taken = float((own * self.share[segment]).sum()) * self.hours
        parts = [
            MixPart(mix=mix, price_key=paid.key, gpu_h=taken * share, price=paid.effective)
            for each, share in self._active(segment)
            if taken > 0.0 and (paid := self.price_of(each.lines_of(team), segment)).effective is not None
        ]
        rest = gpu_h - sum(part.gpu_h for part in parts)
        if rest > NOTHING * gpu_h:
            parts.append(MixPart(mix=mix, price_key=line.key, gpu_h=rest, price=line.effective))
        return parts

    def _stretch(self, line: PriceLine, parts: Sequence[MixPart], segment: slice) -> Stretch:
        key, price = line.key, line.effective
        if len(parts) == 1:
            key, price = parts[0].price_key, parts[0].price
        elif parts:
            key, price = parts[0].mix, mixed_price(parts)
        start_s, end_s = (float(self.period.edges_s[at]) for at in (segment.start, segment.stop))
        return Stretch(key=key, start_s=start_s, end_s=end_s, price=price)

    def _not_held(self, segment: slice) -> Iterator[dict[str, Any]]:
        """A line of the ledger for each commitment that was not held whole."""
        known = self.told[segment]
        gpu_h = float(self.spare[segment][known].sum()) * self.hours
        unknown_h = float(np.count_nonzero(~known)) * self.hours
        if gpu_h <= NOTHING and not unknown_h:
            return
        for each, share in self._active(segment):
            paid = self.price_of(each.lines, segment)
            row: dict[str, Any] = {
                **{column.key: None for column in LINE},
                "service": NOT_HELD,
                **dict.fromkeys(("team", "model", "environment"), _NOBODY),
                "cluster": each.cluster,
                "gpu": each.gpu,
                "price_key": paid.key,
                "start": iso(self.period.edges_s[segment.start]),
                "end": iso(self.period.edges_s[segment.stop]),
                "hours": self.hours * (segment.stop - segment.start),
                "demand_unknown_h": 0.0,
                "replicas_unknown_h": unknown_h,
                "price": paid.effective,
            }
            if known.any():
                row |= _idle(gpu_h * share)
            yield with_ratios(priced(row, paid.effective))

    def _holes(self) -> Iterator[Hole]:
        yield from self._price_holes()
        yield from self._hole_where(
            ~self.told,
            "committed, not held",
            "not every service's replicas are known in these hours: what nobody held of the committed GPUs, and what "
            "that cost, is in no sum",
        )
        yield from self._unshared()

    def _price_holes(self) -> Iterator[Hole]:
        end_s = float(self.period.edges_s[self.covered])
        for line in (line for each in self.commitments for line in each.lines):
            if line.list_price is None and line.start_s < end_s:
                yield Hole(
                    subject=line.key,
                    what="price",
                    hours=(min(line.end_s, end_s) - line.start_s) / 3600.0,
                    start=iso(line.start_s),
                    end=iso(min(line.end_s, end_s)),
                    text=f"{line.told}; what services hold of it is paid at the pool's price, what nobody holds is in "
                    "no cost",
                )

    def _unshared(self) -> Iterator[Hole]:
        """What the known services hold while commitments with a price cannot be shared."""
        priced_ones = [each for each in self.commitments if any(line.effective is not None for line in each.lines)]
        bought = np.any([each.in_slots(self.period, self.covered) > 0.0 for each in priced_ones], axis=0)
        chosen = bought & self.blind & (self.held > 0.0)
        gpu_h = float(self.held[chosen].sum()) * self.hours
        unknown = [each for each in self.members if np.isnan(each.use.allocated[: self.covered][chosen]).any()]
        yield from self._hole_where(
            chosen,
            "shares of commitments",
            f"the replicas of {named([each.accounted.name for each in unknown])} are not known in these hours, nor is "
            f"which part of what is committed was whose: the {gpu_h:,.1f} GPU-hours that others held are paid at the "
            "pool's price, as though nothing were committed; give replicas, 0 where none ran",
        )

    def _hole_where(self, chosen: NDArray[np.bool_], what: str, text: str) -> Iterator[Hole]:
        """One of the pool, with the first and the last moment of it; none where no slot is chosen."""
        at = np.flatnonzero(chosen)
        if len(at):
            first = self.commitments[0]
            yield Hole(
                subject=f"{first.cluster}/{first.gpu}",
                what=what,
                hours=len(at) * self.hours,
                start=iso(self.period.edges_s[at[0]]),
                end=iso(self.period.edges_s[at[-1] + 1]),
                text=text,
            )


def _idle(gpu_h: float) -> dict[str, float]:
    """All of it over-provisioned. Nobody asked for it, so that it has no requests and no need, not even 0."""
    parts = dict.fromkeys((f"{cause}_gpu_h" for cause in CAUSES), 0.0)
    idle = {"allocated_gpu_h": gpu_h, "idle_gpu_h": gpu_h, "over_provisioned_gpu_h": gpu_h}
    return {**parts, "used_gpu_h": 0.0, "unexplained_gpu_h": 0.0, **idle}


def _extend(stretches: list[Stretch], further: Stretch) -> None:
    """Neighbours of one price are one stretch."""
    if stretches and stretches[-1].key == further.key:
        last = stretches.pop()
        further = Stretch(key=last.key, start_s=last.start_s, end_s=further.end_s, price=last.price)
    stretches.append(further)
