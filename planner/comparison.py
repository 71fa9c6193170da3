"""Profiles side by side on one workload: rows in the order of cost, the choice, the Pareto front, what to mind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import InvalidInput
from planner.build_cost import BuildCost
from planner.choice import Choice, choose, ranked_rows
from planner.compared import sized
from planner.comparison_row import Candidate, Load, Row
from planner.hardware import find_model, precision_of
from planner.pareto import front
from planner.prices import PriceRule


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The latency that stands against cost: that of the objective which binds most of the plans."""

    metric: str
    statistic: str

    def __str__(self) -> str:
        return f"{self.metric} {self.statistic}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Rows in the order of their cost, the choice, and the Pareto front."""

    load: Load
    prices: PriceRule
    rows: tuple[Row, ...]
    """Those with a plan and a price first, cheapest first; then those without a price; then those without a plan."""
    choice: Choice
    axis: Axis | None
    pareto: tuple[bool | None, ...]
    """Of each row whether it is on the front; None where cost or plan is not known."""
    warnings: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """Whether any row has a plan."""
        return any(row.feasible for row in self.rows)


def compare(candidates: Sequence[Candidate], load: Load, prices: PriceRule, *, build: BuildCost) -> Comparison:
    """Size every candidate and choose."""
    if not candidates:
        raise InvalidInput("there is nothing to compare", remedy="give --profile at least once, or --model")
    rows = sorted((sized(each, load, prices, build=build) for each in candidates), key=_order)
    axis = _axis(rows)
    return Comparison(
        load=load,
        prices=prices,
        rows=tuple(rows),
        choice=choose(rows),
        axis=axis,
        pareto=_on_front(rows, axis),
        warnings=tuple(_warnings(rows)),
    )


def _order(row: Row) -> tuple[int, float, int, str]:
    if not row.feasible:
        return 2, 0.0, 0, row.name
    cost = row.per_hour_with_builds
    return (1, 0.0, row.gpus, row.name) if cost is None else (0, cost, row.gpus, row.name)


def _axis(rows: Sequence[Row]) -> Axis | None:
    binding = Counter(str(row.fields["binding"]["objective"]) for row in rows if row.feasible)
    if not binding:
        return None
    metric, _, rest = binding.most_common(1)[0][0].partition(":")
    return Axis(metric=metric, statistic=rest.partition("<=")[0])


def _on_front(rows: Sequence[Row], axis: Axis | None) -> tuple[bool | None, ...]:
    measured = {id(row): cost for row, cost in ranked_rows(rows)}
    points: dict[int, tuple[float, float]] = {}
    for row in rows:
        latency = None if axis is None else row.latency(axis.metric, axis.statistic)
        if latency is not None and id(row) in measured:
            points[id(row)] = measured[id(row)], latency
    members = dict(zip(points, front(list(points.values())), strict=True))
    return tuple(members.get(id(row)) for row in rows)


def _warnings(rows: Sequence[Row]) -> list[str]:
    """What is doubtful about the comparison itself, then what is about single rows."""
    notes = []
    profiles = [row.candidate.profile for row in rows if row.candidate.profile is not None]
    shapes = {each: find_model(each) for each in dict.fromkeys(p.spec.model for p in profiles)}
    models = {each if shape is None else shape.name: each for each, shape in shapes.items()}
    if len(models) > 1:
        told = ", ".join(sorted(models.values()))
        notes.append(f"different models ({told}): what their answers are worth is not compared")
    kinds = sorted({row.price.pricing for row in rows if row.price.pricing})
    if len(kinds) > 1:
        notes.append(f"prices of different kinds ({', '.join(kinds)}) stand side by side")
    if len({precision_of(p.spec.quantization) for p in profiles}) > 1:
        notes.append("different quantisations: the loss of quality is not modelled; evaluate the answers")
    missing = dict.fromkeys(row.price.told for row in rows if row.price.usd_per_h is None)
    return [*notes, *missing, *_of_single_rows(rows)]


def _of_single_rows(rows: Sequence[Row]) -> list[str]:
    """Each warning once, figures apart, with the rows that it is about."""
    about: dict[str, tuple[str, list[str]]] = {}
    for row in rows:
        for text in row.fields.get("warnings", ()):
            if row.candidate.estimated and text.startswith("figures of the profile"):
                continue  # its figures are derived: what is doubtful is told of the base
            key = _FIGURE.sub("#", text).replace(row.name, "#")
            about.setdefault(key, (text, []))[1].append(row.name)
    told = sorted(about.values(), key=lambda each: -len(each[1]))
    return [f"{_some(names)}: {text}" for text, names in told]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


_FIGURE, _MOST_NAMES = re.compile(r"(?<![\w.-])\d[\d.,]*(?![\w-])"), 2
