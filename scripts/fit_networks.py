"""Learn the networks of `models/learned.py` again: `make networks`.

First what short KV memory costs a saturated engine (`contention`), then, on top of it, what the analytic laws miss
(`laws`). Simulations are kept under .benchmarks/ line by line, by the sources that they depend on, so that an
interrupted run goes on where it was and a second one only learns.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from benchmarks.source_bytes import ROOT
from models.capacity import FluidLimit, capacity, free_rate
from models.continuous_batching import circumstances
from models.discrepancy import CORRECTED, KNOTS, Circumstances, describable, log_odds, network_inputs
from models.kv_contention import tightness
from models.network import Network
from scripts.kept_simulations import KeptSimulations, Line
from scripts.learned_module import with_network
from scripts.network_training import Training, train
from scripts.training_cases import (
    CONTENTION_SEED,
    LAW_SEED,
    SCARCE_CONTENTION_SEED,
    SHORT_MEMORY_SEED,
    WIDE_CONTENTION_SEED,
    WIDE_LAW_SEED,
    contention_case,
    simulated_contention,
    simulated_laws,
    training_case,
)

LEARNED = ROOT / "models" / "learned.py"

CONTENTION_CASES = {CONTENTION_SEED: 25_000, WIDE_CONTENTION_SEED: 12_500, SCARCE_CONTENTION_SEED: 6_000}
LAW_CASES = {LAW_SEED: 36_000, SHORT_MEMORY_SEED: 12_000, WIDE_LAW_SEED: 12_000}
"""Questions that are drawn, by seed."""

TOLERANCE = 0.03
"""Quantiles that are so near, relatively, need no correction."""
SETTLED = 0.999

Array = NDArray[np.float64]
Row = tuple[Array, Array, Array, float]
Tell = Callable[[str], None]


def main() -> None:
    """Simulate what is missing, learn one network, and write it beside the other."""
    options = _options()
    tell: Tell = partial(print, file=sys.stderr, flush=True)
    kept = KeptSimulations(folder=ROOT / ".benchmarks", kind=options.network, keep_stale=options.keep_stale)
    if said := kept.said():
        tell(said)
    contention = options.network == "contention"
    if not options.kept_only:
        for seed, cases in (CONTENTION_CASES if contention else LAW_CASES).items():
            wanted = round(cases * options.share)
            _simulate(simulated_contention if contention else simulated_laws, kept, wanted, seed, options.jobs, tell)
    lines = kept.lines()
    if not lines:
        sys.exit("nothing to learn from: no simulations of these sources are kept")
    network, learned_from = (_contention if contention else _laws)(lines, options)
    tell(f"learned from {learned_from}")
    name = "KV_CONTENTION" if contention else "LAWS"
    LEARNED.write_text(with_network(LEARNED.read_text(), name, network.to_text(), learned_from))
    tell(f"wrote {LEARNED.relative_to(ROOT)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=["contention", "laws"], help="contention first: the laws depend on it")
    parser.add_argument("--share", type=float, default=1.0, help="of the questions, that are drawn and simulated")
    parser.add_argument("--kept-only", action="store_true", help="learn from what is kept; simulate nothing")
    parser.add_argument("--keep-stale", action="store_true", help="use kept simulations of other sources too")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--members", type=int, default=4, help="networks whose mean is taken")
    parser.add_argument("--steps", type=int, default=36_000)
    return parser.parse_args()


def _simulate(
    one: Callable[[int, int], str | None], kept: KeptSimulations, wanted: int, seed: int, jobs: int, tell: Tell
) -> None:
    """Keep a line a case until the case number `wanted` is reached."""
    done = max((line["number"] + 1 for line in kept.lines() if line["seed"] == seed), default=0)
    if done >= wanted:
        return
    began = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool, kept.appending() as out:
        numbers = range(done, wanted)
        for number, line in zip(numbers, pool.map(one, numbers, repeat(seed), chunksize=16), strict=True):
            if line is not None:
                out.write(line + "\n")
            if number % 500 == 499:
                tell(f"{kept.kind}: {number + 1:,} of {wanted:,} cases, {time.monotonic() - began:.0f} s")


def _contention(lines: list[Line], options: argparse.Namespace) -> tuple[Network, str]:
    inputs, targets, gates = [], [], []
    for line in lines:
        each = contention_case(line["number"], line["seed"])
        assert each is not None
        fluid = FluidLimit.of(each.engine, each.lengths)
        gate = tightness(fluid.fullness)
        if gate <= 0.0:  # the network has no say there
            continue
        inputs.append(fluid.contention_inputs())
        gates.append(gate)
        running = fluid.x * (fluid.demand.decode_steps + 1.0)
        targets.append(
            [
                np.log(line["requests_per_s"] / free_rate(each.engine, fluid.demand, fluid.x)),
                np.log(line["running"] / running),
                np.log1p(line["preemptions"]),
            ]
        )
    known = np.array(targets)
    how = Training(hidden=(32, 32), members=3, steps=16_000, decay=1e-2, jobs=options.jobs)
    network = train(np.array(inputs), known, known, np.array(gates), how)
    return network, f"{len(inputs):,} simulated saturated engines whose KV memory fills"


def _laws(lines: list[Line], options: argparse.Namespace) -> tuple[Network, str]:
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = [row for row in pool.map(_row, lines, chunksize=32) if row is not None]
    inputs, low, high, gates = (np.array(column) for column in zip(*rows, strict=True))
    how = Training(hidden=(64, 64, 64), members=options.members, steps=options.steps, decay=0.1, jobs=options.jobs)
    return train(inputs, low, high, gates, how), f"{len(rows):,} simulated questions"


def _row(line: Line) -> Row | None:
    """Inputs, and the interval of log-odds by which each knot should move."""
    each = training_case(line["number"], line["seed"])
    if not each.servable:
        return None
    work = each.workload.at_rate(line["rate"])
    top = capacity(each.engine, work.lengths, work.prefix_hit_rate)
    if line["rate"] / each.replicas >= SETTLED * top.requests_per_s:
        return None
    at = circumstances(each.engine, work, replicas=each.replicas, routing=each.routing, top=top)
    if not describable(at.laws):
        return None
    low, high = (_moves(at, line, side) for side in (-1.0, 1.0))
    return network_inputs(at), low, high, at.gate


def _moves(at: Circumstances, line: Line, side: float) -> Array:
    """How far the log-odds of each knot must move to read the simulated quantile, give or take the tolerance."""
    moves = []
    for metric in CORRECTED:
        law = at.laws[metric]
        grain = at.bare_step_s if metric == "queue" else 0.0
        for knot, seen in zip(KNOTS, line[metric], strict=True):
            reached = 1.0 - law.exceedance(seen + side * TOLERANCE * seen + side * 0.02 * grain)
            moves.append(_held_log_odds(reached) - _held_log_odds(knot))
    return np.array(moves)


def _held_log_odds(probability: float) -> float:
    return float(log_odds(np.clip(probability, 1e-4, 1.0 - 1e-4)))


if __name__ == "__main__":
    main()
