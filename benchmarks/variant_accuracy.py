"""How far variants derived by physics lie from measured ones: `make bench-variants`.

Of every two shipped profiles of one model and engine that differ in one thing alone (tensor parallelism, GPU type or
quantisation), each is derived from the other and asked for the loads at which the other was measured.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from models.errors import InvalidInput
from models.mean_step import steady_point
from planner.hardware import find_model, precision_of
from planner.profile import EngineProfile, catalogue_names, load_profile
from planner.variants import derive, target_of

NAMES = {"quantization": "quantisation", "tp": "tensor-parallel size", "gpu": "GPU type"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Errors of one derived profile at the measured loads of the profile that it should equal."""

    changed: str
    base: EngineProfile
    measured: EngineProfile
    tpot: tuple[float, ...]
    """Predicted over measured, less 1."""
    throughput: tuple[float, ...]
    own: float
    """Median error of the measured profile's own fit at the same loads: what no derivation can beat."""


def profiles() -> list[EngineProfile]:
    """Shipped profiles of plain tensor parallelism with at least four loads."""
    found = [load_profile(name) for name in catalogue_names() if "-ep" not in name]
    return [each for each in found if each.spec.gpu.pipeline_parallel == 1 and len(each.measurements) >= 4]


def changed(one: EngineProfile, other: EngineProfile) -> list[str]:
    """In what two profiles differ."""
    a, b = target_of(one), target_of(other)
    differs = {
        "quantization": precision_of(a.quantization) != precision_of(b.quantization),
        "tp": a.tensor_parallel != b.tensor_parallel,
        "gpu": a.gpu != b.gpu,
    }
    return [name for name, does in differs.items() if does]


def pairs() -> Iterator[Pair]:
    """Every pair, both ways round."""
    for base, measured in permutations(profiles(), 2):
        if base.spec.engine != measured.spec.engine or find_model(base.spec.model) != find_model(measured.spec.model):
            continue
        differs = changed(base, measured)
        if len(differs) != 1:
            continue
        try:
            derived = derive(base, target_of(measured), name="derived")
        except InvalidInput as error:
            print(f"not derived: {measured.name} from {base.name}: {error}")
            continue
        yield compared(differs[0], base, measured, derived)


def compared(name: str, base: EngineProfile, measured: EngineProfile, derived: EngineProfile) -> Pair:
    """The derived profile at the loads of the measured one, with the measured one's own limits."""
    tpot, throughput, own = [], [], []
    limits = measured.spec.limits.to_limits()
    for point in measured.measurements:
        seen = point.tpot_s
        if seen is None or point.concurrency is None:
            continue
        at = steady_point(derived.fitted.step_time, point, limits)
        tpot.append(at.tpot_s / seen - 1.0)
        own.append(abs(steady_point(measured.fitted.step_time, point, limits).tpot_s / seen - 1.0))
        if point.ttft_s is not None:
            rate = point.concurrency / (point.ttft_s + point.decode_steps * seen)
            throughput.append(at.requests_per_s / rate - 1.0)
    return Pair(
        changed=name, base=base, measured=measured, tpot=tuple(tpot), throughput=tuple(throughput),
        own=float(np.median(own)),
    )  # fmt: skip


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%"


def report(found: list[Pair]) -> str:
    """The document."""
    by_change: dict[str, list[Pair]] = defaultdict(list)
    for pair in found:
        by_change[pair.changed].append(pair)
    lines = [
        "# Accuracy of estimated variants",
        "",
        f"Written by `make bench-variants` on {machine()}, {date.today():%Y-%m-%d}.",  # noqa: DTZ011 -- the local day
        "",
        "`planner compare --variants` derives what was not measured: terms of the base's step time times the ratio of",
        "what data sheets say of variant and base. Here each of two shipped profiles (measured; one model, one engine)",
        "that differ in one thing is derived from the other, and asked for the closed loops at which the other was",
        "measured. The error of a pair is the median over its loads of |derived / measured − 1|. Versions of engines",
        "differ within many pairs: their differences are in the errors too.",
        "",
        "| changed | pairs | TPOT, median | 90th percentile | throughput, median | 90th percentile | bias of TPOT |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, group in by_change.items():
        tpot = [float(np.median(np.abs(pair.tpot))) for pair in group]
        rate = [float(np.median(np.abs(pair.throughput))) for pair in group if pair.throughput]
        bias = float(np.median([np.median(pair.tpot) for pair in group]))
        cells = [len(group), *(_share(float(np.quantile(kind, q))) for kind in (tpot, rate) for q in (0.5, 0.9))]
        lines.append(f"| {NAMES[name]} | {' | '.join(map(str, cells))} | {bias:+.0%} |")
    lines += [
        "",
        "The 90th percentile of TPOT is the ± that `planner compare` prints beside an estimated row",
        "(`planner/variant_error.py`); of several changes at a time the root of the sum of squares.",
        "",
        "Not covered: no two shipped profiles of one engine differ by weight-only quantisation (AWQ, GPTQ, GGUF) or by",
        "16 bits against fewer; of quantisation FP8 against FP4 is what was measured. Loss of quality is not modelled.",
        "",
        "| changed | from | to | loads | TPOT, median error | signed | fit's own |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for pair in sorted(found, key=lambda each: (each.changed, each.measured.name, each.base.name)):
        lines.append(
            f"| {pair.changed} | `{pair.base.name}` | `{pair.measured.name}` | {len(pair.tpot)} | "
            f"{_share(float(np.median(np.abs(pair.tpot))))} | {float(np.median(pair.tpot)):+.0%} | {_share(pair.own)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    text = report(list(pairs()))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
