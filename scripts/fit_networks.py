"""Learn the networks of `models/learned.py` again: `make networks`.

First what short KV memory costs a saturated engine (`contention`), then, on top of it, what the analytic laws miss
(`laws`). Simulations are kept under .benchmarks/ line by line, so that an interrupted run goes on where it was and a
second one only learns.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models.learned
from models.capacity import FluidLimit, capacity, free_rate
from models.continuous_batching import circumstances
from models.discrepancy import CORRECTED, KNOTS, Circumstances, describable, log_odds, network_inputs
from models.kv_contention import tightness
from models.network import Network
from scripts.network_training import Training, train
from scripts.training_cases import (
    CONTENTION_SEED,
    LAW_SEED,
    SHORT_MEMORY_SEED,
    WIDE_CONTENTION_SEED,
    WIDE_LAW_SEED,
    contention_case,
    simulated_contention,
    simulated_laws,
    training_case,
)

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".benchmarks"
LEARNED = ROOT / "models" / "learned.py"
HEAD = (
    '"""Networks learned from simulations. Written by `make networks` (scripts/fit_networks.py); not for editing."""\n'
)

TOLERANCE = 0.03
"""Quantiles that are so near, relatively, need no correction."""
SETTLED = 0.999
FIRST_LOOK = 0.3

Array = NDArray[np.float64]
Row = tuple[Array, Array, Array, float]


def main() -> None:
    """Simulate what is missing, learn one network, and write it beside the other."""
    options = _options()
    KEPT.mkdir(exist_ok=True)
    tell: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    texts = {"KV_CONTENTION": models.learned.KV_CONTENTION, "LAWS": models.learned.LAWS}
    if options.network == "contention":
        file = KEPT / "contention.jsonl"
        cases = options.cases or 25_000
        _simulate(simulated_contention, file, cases, CONTENTION_SEED, options, tell)
        _simulate(simulated_contention, file, cases // 2, WIDE_CONTENTION_SEED, options, tell)
        texts["KV_CONTENTION"] = _contention(_lines(file), options, tell).to_text()
    else:
        file = KEPT / "laws.jsonl"
        cases = options.cases or 36_000
        _simulate(simulated_laws, file, cases, LAW_SEED, options, tell)
        _simulate(simulated_laws, file, cases // 3, SHORT_MEMORY_SEED, options, tell)
        _simulate(simulated_laws, file, cases // 3, WIDE_LAW_SEED, options, tell)
        texts["LAWS"] = _laws(_lines(file), options, tell).to_text()
    LEARNED.write_text(HEAD + "".join(_block(*item) for item in texts.items()))
    tell(f"wrote {LEARNED.relative_to(ROOT)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=["contention", "laws"], help="contention first: the laws depend on it")
    parser.add_argument("--cases", type=int, help="questions that are drawn and simulated")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--members", type=int, default=4, help="networks whose mean is taken")
    parser.add_argument("--steps", type=int, default=36_000)
    return parser.parse_args()


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _simulate(
    one: Callable[[int, int], str | None],
    file: Path,
    wanted: int,
    seed: int,
    options: argparse.Namespace,
    tell: Callable[[str], None],
) -> None:
    """Append a line a case to the file until the case number `wanted` is reached."""
    lines = _lines(file) if file.exists() else []
    done = max((line["number"] + 1 for line in lines if line["seed"] == seed), default=0)
    if done >= wanted:
        return
    began = time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool, file.open("a") as out:
        numbers = range(done, wanted)
        for number, line in zip(numbers, pool.map(one, numbers, repeat(seed), chunksize=16), strict=True):
            if line is not None:
                out.write(line + "\n")
            if number % 500 == 499:
                tell(f"{file.name}: {number + 1:,} of {wanted:,} cases, {time.monotonic() - began:.0f} s")


def _contention(lines: list[dict[str, Any]], options: argparse.Namespace, tell: Callable[[str], None]) -> Network:
    inputs, targets, gates = [], [], []
    for line in lines:
        each = contention_case(line["number"], line["seed"])
        assert each is not None
        fluid = FluidLimit.of(each.engine, each.lengths)
        if fluid.fullness < FIRST_LOOK:
            continue
        inputs.append(fluid.contention_inputs())
        gates.append(tightness(fluid.fullness))
        running = fluid.x * (fluid.demand.decode_steps + 1.0)
        targets.append(
            [
                np.log(line["requests_per_s"] / free_rate(each.engine, fluid.demand, fluid.x)),
                np.log(line["running"] / running),
                np.log1p(line["preemptions"]),
            ]
        )
    tell(f"KV contention: learning from {len(inputs):,} saturated engines")
    known = np.array(targets)
    how = Training(hidden=(32, 32), members=3, steps=16_000, decay=1e-2, jobs=options.jobs)
    return train(np.array(inputs), known, known, np.array(gates), how)


def _laws(lines: list[dict[str, Any]], options: argparse.Namespace, tell: Callable[[str], None]) -> Network:
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = [row for row in pool.map(_row, lines, chunksize=32) if row is not None]
    tell(f"laws: learning from {len(rows):,} simulated questions")
    inputs, low, high, gates = (np.array(column) for column in zip(*rows, strict=True))
    how = Training(hidden=(64, 64, 64), members=options.members, steps=options.steps, decay=0.1, jobs=options.jobs)
    return train(inputs, low, high, gates, how)


def _row(line: dict[str, Any]) -> Row | None:
    """Inputs, and the interval of log-odds by which each knot should move."""
    each = training_case(line["number"], line["seed"])
    work = each.workload.at_rate(line["rate"])
    top = capacity(each.engine, work.lengths, work.prefix_hit_rate)
    if line["rate"] / each.replicas >= SETTLED * top.requests_per_s:
        return None
    at = circumstances(each.engine, work, replicas=each.replicas, routing=each.routing, top=top)
    if not describable(at.laws):
        return None
    low, high = (_moves(at, line, side) for side in (-1.0, 1.0))
    return network_inputs(at), low, high, at.gate


def _moves(at: Circumstances, line: dict[str, Any], side: float) -> Array:
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


def _block(name: str, text: str) -> str:
    head, _, body = text.partition("\n")
    return "\n".join(["", f'{name} = """{head}', *textwrap.wrap(body, 116)]) + '"""\n'


if __name__ == "__main__":
    main()
