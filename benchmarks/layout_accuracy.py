"""Profiles carried to another tensor-parallel size, against what was measured there: `make bench-layouts`.

Every pair of shipped profiles of one engine, model, precision and GPU that differ in GPUs a replica: the one is carried
to the other's layout (`planner.parallelism`) and asked for the time per output token, and the throughput, of each of
the other's measured closed loops. Beside it what the other's own fit says of its own points: what is left to explain.
Nothing of the links was fitted to these points.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks import staged_accuracy
from benchmarks.machine import machine
from models.continuous_batching import predict
from models.errors import ReplicastError
from models.token_lengths import TokenLengths
from models.workload import ClosedArrivals, Workload
from planner.hardware import find_model
from planner.parallelism import Parallelism, on_layout
from planner.profile import EngineProfile, MeasuredPoint, catalogue_names, load_profile

MOST_POINTS = 6
"""Of a profile, evenly spread over its loads."""
EXPLAINED = 0.2
"""Points that a profile's own fit misses by more say nothing of the step time (batches that were sent at once)."""


def pairs() -> Iterator[tuple[EngineProfile, EngineProfile]]:
    """From one number of GPUs to another."""
    alike = defaultdict(list)
    for profile in map(load_profile, catalogue_names()):
        spec = profile.spec
        if spec.engine != "triton" and spec.measurements and "-ep" not in profile.name:
            alike[spec.engine, spec.model, spec.quantization, spec.gpu.type].append(profile)
    for group in alike.values():
        for one, other in permutations(group, 2):
            if one.spec.gpu.per_replica != other.spec.gpu.per_replica:
                yield one, other


def points(profile: EngineProfile) -> list[MeasuredPoint]:
    """Closed loops with a time per output token."""
    usable = [
        point
        for point in profile.spec.measurements
        if point.concurrency and point.tpot is not None and point.tpot.mean and point.output_tokens >= 2.0
    ]
    usable.sort(key=lambda point: point.concurrency or 0.0)
    places = np.linspace(0, max(0, len(usable) - 1), MOST_POINTS).round().astype(int)
    return [usable[index] for index in dict.fromkeys(places.tolist())] if usable else []


def ratio(profile: EngineProfile, point: MeasuredPoint) -> float:
    """Predicted over measured mean time per output token."""
    assert point.concurrency is not None
    assert point.tpot is not None
    assert point.tpot.mean is not None
    lengths = TokenLengths.of(point.input_tokens, point.output_tokens)
    workload = Workload(arrivals=ClosedArrivals(users=max(1, round(point.concurrency))), lengths=lengths)
    return predict(profile.to_engine(), workload, replicas=1).laws["tpot"].mean_s / point.tpot.mean


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A pair, and predicted over measured of each point."""

    one: EngineProfile
    other: EngineProfile
    estimated: list[float]
    own: list[float]

    @property
    def factor(self) -> float:
        """How many times more GPUs."""
        return self.other.spec.gpu.per_replica / self.one.spec.gpu.per_replica

    @property
    def dense(self) -> bool:
        """Whether every token passes all of the model."""
        shape = find_model(self.one.spec.model)
        return shape is not None and shape.experts is None


def rows() -> Iterator[Carried]:
    """Of each pair what was carried, and what the other's own fit says, where that explains the point."""
    for one, other in pairs():
        measured = [point for point in points(other) if abs(ratio(other, point) - 1.0) <= EXPLAINED]
        if not measured:
            continue
        layout = Parallelism(tensor=other.spec.gpu.per_replica, pipeline=1)
        try:
            carried = on_layout(one, layout)
        except ReplicastError as error:
            print(f"left out: {one.name} to {other.name}: {error}")
            continue
        # The limits of the run are known; what is asked is the step time.
        spec = carried.spec.model_copy(update={"limits": other.spec.limits})
        carried = EngineProfile(apiVersion=carried.api_version, kind=carried.kind, metadata=carried.metadata, spec=spec)
        yield Carried(
            one=one,
            other=other,
            estimated=[ratio(carried, point) for point in measured],
            own=[ratio(other, point) for point in measured],
        )


def report(found: Sequence[Carried]) -> str:
    """The document."""
    groups = {
        "to twice as many GPUs": [row for row in found if row.factor == 2.0],
        "to four or eight times as many": [row for row in found if row.factor > 2.0],
        "to fewer": [row for row in found if row.factor < 1.0],
        "dense models": [row for row in found if row.dense],
        "mixtures of experts": [row for row in found if not row.dense],
        "all": list(found),
    }
    lines = [
        "# Profiles carried to another tensor-parallel size",
        "",
        f"Measured by `make bench-layouts` on {date.today().isoformat()}, {machine()}.",  # noqa: DTZ011
        "",
        "Mean time per output token of measured closed loops: predicted over measured, less one. *Carried over*: the",
        "profile of another number of GPUs, with the formulas of `models/parallel_layout.py`, the links of the data",
        "sheets and the constants in `planner/hardware.py`, none of them fitted to these points. *Own fit*: the",
        f"profile that was fitted to these very points; those that it misses by more than {EXPLAINED:.0%} are left",
        "out, for they say nothing of the step time. Every layout is on **one node and without a pipeline**: the",
        "catalogue has no other run, so that links between nodes and pipelines are checked by no measurement;",
        "pipelines by the simulation below.",
        "",
        "| | pairs | points | median error | 90th percentile | median bias | own fit: median error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_line(title, chosen) for title, chosen in groups.items()),
        "",
        _worst(found),
        "",
        "## Pipelines",
        "",
        "An engine in 2, 4 and 8 stages, simulated batch by batch (`benchmarks/pipeline_stages.py`: Poisson arrivals,",
        "a budget of 2,048 tokens, three pairs of lengths, two steps), against `models/layout_change.py` and the",
        "queueing model; predicted over simulated, less one. Loads are of the predicted capacity, which is below the",
        "simulated one: plans err on the side of too many GPUs.",
        "",
        *staged_accuracy.table(),
    ]
    return "\n".join(lines) + "\n"


def _line(title: str, chosen: Sequence[Carried]) -> str:
    carried = np.concatenate([row.estimated for row in chosen]) - 1.0
    own = np.concatenate([row.own for row in chosen]) - 1.0
    return (
        f"| {title} | {len(chosen)} | {carried.size} | {np.median(abs(carried)):.1%} | "
        f"{np.quantile(abs(carried), 0.9):.1%} | {np.median(carried):+.1%} | {np.median(abs(own)):.1%} |"
    )


def _worst(found: Sequence[Carried]) -> str:
    worst = sorted(found, key=lambda row: -abs(float(np.median(row.estimated)) - 1.0))[:5]
    told = [
        f"`{row.one.name}` to {row.other.spec.gpu.per_replica} GPUs ({np.median(row.estimated) - 1.0:+.0%})"
        for row in worst
    ]
    return f"Furthest off: {'; '.join(told)}."


def main() -> None:
    """Print the document, and write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path)
    out = parser.parse_args().write
    text = report(list(rows()))
    print(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
