"""How far variants derived by physics lie from measured ones: `make bench-variants`.

Of every two shipped profiles of one model and engine that differ in one thing alone (tensor parallelism, GPU type or
quantisation), each is derived from the other and asked for the loads at which the other was measured.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from models.mean_step import steady_point
from planner.hardware import find_model, precision_of
from planner.profile import EngineProfile, catalogue_names, load_profile
from planner.variant_physics import Constants
from planner.variant_profile import derive, target_of

FIXED_S, ALL_REDUCE_S = (2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 8e-3), (1e-8, 4e-6, 1e-5)
"""Of which the constants are chosen."""
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

    @property
    def error(self) -> float:
        """Median absolute error of TPOT."""
        return float(np.median(np.abs(self.tpot)))

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


def pairs(constants: Constants | None = None, *, most_loads: int = 1000) -> list[Pair]:
    """Every pair, both ways round."""
    found = []
    for base, measured in permutations(profiles(), 2):
        if base.spec.engine != measured.spec.engine or model_of(base) != model_of(measured):
            continue
        differs = changed(base, measured)
        if len(differs) == 1:
            derived = derive(base, target_of(measured), name="derived", least_tokens=0, constants=constants)
            found.append(compared(differs[0], base, measured, derived, most_loads))
    return found


def model_of(profile: EngineProfile) -> str:
    """The name of the model's shape."""
    shape = find_model(profile.spec.model)
    return profile.spec.model if shape is None else shape.name


def compared(name: str, base: EngineProfile, measured: EngineProfile, derived: EngineProfile, most: int) -> Pair:
    """The derived profile at the loads of the measured one, with the measured one's own limits."""
    tpot, throughput, own = [], [], []
    limits = measured.spec.limits.to_limits()
    points = [point for point in measured.measurements if point.tpot_s is not None and point.concurrency is not None]
    for index in np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).astype(int)):
        point = points[index]
        seen, users = point.tpot_s, point.concurrency
        assert seen is not None
        assert users is not None
        at = steady_point(derived.fitted.step_time, point, limits)
        tpot.append(at.tpot_s / seen - 1.0)
        own.append(abs(steady_point(measured.fitted.step_time, point, limits).tpot_s / seen - 1.0))
        if point.ttft_s is not None:
            throughput.append(at.requests_per_s * (point.ttft_s + point.decode_steps * seen) / users - 1.0)
    return Pair(
        changed=name, base=base, measured=measured, tpot=tuple(tpot), throughput=tuple(throughput),
        own=float(np.median(own)),
    )  # fmt: skip


def left_out(chosen: list[Pair]) -> list[Pair]:
    """Each model's pairs with constants chosen on the pairs of all other models, every model counting alike."""
    by_constants = {
        (fixed, reduce): pairs(Constants(fixed_s=fixed, all_reduce_s=reduce), most_loads=5)
        for fixed in FIXED_S
        for reduce in ALL_REDUCE_S
    }
    found = []
    for model in dict.fromkeys(model_of(pair.base) for pair in chosen):
        fixed, reduce = min(by_constants, key=lambda key: _mean_error(by_constants[key], without=model))
        print(f"without {model}: fixed {fixed * 1e3:g} ms, all-reduce {reduce * 1e6:g} µs")
        again = pairs(Constants(fixed_s=fixed, all_reduce_s=reduce))
        found += [pair for pair in again if model_of(pair.base) == model]
    return found


def _mean_error(found: list[Pair], *, without: str) -> float:
    by_model: dict[str, list[float]] = defaultdict(list)
    for pair in found:
        if model_of(pair.base) != without:
            by_model[model_of(pair.base)].append(min(pair.error, 0.7))
    return float(np.mean([np.mean(errors) for errors in by_model.values()]))


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%"


def report(found: list[Pair], unseen: list[Pair]) -> str:
    """The document."""
    lines = [
        "# Accuracy of estimated variants",
        "",
        f"Written by `make bench-variants` on {machine()}, {date.today():%Y-%m-%d}.",  # noqa: DTZ011 -- the local day
        "",
        "`planner compare --variants` derives what was not measured: terms of the base's step time times the ratio",
        "of what data sheets say of variant and base (`planner/variant_physics.py`). Here each of two shipped profiles",
        "(measured; one model, one engine) that differ in one thing is derived from the other, and asked for the",
        "closed loops at which the other was measured. The error of a pair is the median over its loads of",
        "|derived / measured − 1|. Engines' versions differ within many pairs: that is in the errors too.",
        "",
        "Two constants (the part of a step that nothing shortens, the latency of an all-reduce) are chosen on the",
        "pairs. So each model's pairs are derived here with constants chosen on all other models:",
        "",
        "| changed | pairs | TPOT, median | 90th percentile | throughput, median | 90th percentile | bias of TPOT |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *_table(unseen),
        "",
        "The 90th percentile of TPOT is the ± that `planner compare` prints beside an estimated row",
        "(`planner/variant_error.py`); of several changes at a time the root of the sum of squares. With the constants",
        "that ship, chosen on all models:",
        "",
        "| changed | pairs | TPOT, median | 90th percentile | throughput, median | 90th percentile | bias of TPOT |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(line.replace("| ", "| shipped: ", 1) for line in _table(found)),
        "",
        "Worst are gpt-oss-120b between H200 and B200 (FP4 units on one alone, and kernels of different ages) and",
        "DeepSeek-R1 between two release candidates of TensorRT-LLM. Not covered: no two shipped profiles of one",
        "engine differ by weight-only quantisation (AWQ, GPTQ, GGUF) or by 16 bits against fewer; of quantisation FP8",
        "against FP4 is what was measured. The loss of quality is not modelled.",
        "",
        "| changed | from | to | loads | TPOT, median error | signed | fit's own |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {pair.changed} | `{pair.base.name}` | `{pair.measured.name}` | {len(pair.tpot)} | "
        f"{_share(pair.error)} | {float(np.median(pair.tpot)):+.0%} | {_share(pair.own)} |"
        for pair in sorted(found, key=lambda each: (each.changed, each.measured.name, each.base.name))
    ]
    return "\n".join(lines) + "\n"


def _table(found: list[Pair]) -> list[str]:
    lines = []
    for name, words in NAMES.items():
        group = [pair for pair in found if pair.changed == name]
        tpot = [pair.error for pair in group]
        rate = [float(np.median(np.abs(pair.throughput))) for pair in group if pair.throughput]
        bias = float(np.median([np.median(pair.tpot) for pair in group]))
        cells = [len(group), *(_share(float(np.quantile(kind, q))) for kind in (tpot, rate) for q in (0.5, 0.9))]
        lines.append(f"| {words} | {' | '.join(map(str, cells))} | {bias:+.0%} |")
    return lines


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    found = pairs()
    text = report(found, left_out(found))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
