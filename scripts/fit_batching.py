"""Learn `models/learned_batching.py` again: `make networks-batching`.

Random batchers (`benchmarks.batching_cases`, a seed that accuracy is never measured on) without queue delays are
simulated, and a small network learns what the embedded chain misses. Simulations and the chain's answers are kept under
.benchmarks/; remove the file after a change of either.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.batching_cases import BatchingCase, Ranges, batching_case
from models.batching_discrepancy import FLOOR, KNOTS, exact, network_inputs
from models.dynamic_batching import chain_answer
from models.simulation.batching import simulate_batching
from scripts.network_training import Training, train

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".benchmarks" / "batching.pickle"
LEARNED = ROOT / "models" / "learned_batching.py"

SEED, CASES = 1, 7_000
PREFERRING = 0.2
"""Share of cases with preferred sizes. What is asked of the network has none since samples answer for them."""
TOLERANCE = 0.003

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A question as a network sees it, and what it is to say."""

    inputs: Array
    outputs: Array


def main() -> None:
    """Simulate what is missing, learn, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40_000)
    options = parser.parse_args()
    kept: dict[int, Example | None] = pickle.loads(KEPT.read_bytes()) if KEPT.exists() else {}  # noqa: S301 -- ours
    missing = [number for number in range(CASES) if number not in kept]
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, (asked, found) in enumerate(zip(missing, pool.map(example, missing, chunksize=20), strict=True)):
            kept[asked] = found
            if done % 500 == 499:
                print(f"simulated {done + 1} of {len(missing)}", file=sys.stderr)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_bytes(pickle.dumps(kept))
    LEARNED.write_text(_module(_network(kept, options)), encoding="utf-8")


def case_of(number: int) -> BatchingCase:
    """The question."""
    return batching_case(number, SEED, Ranges(preferring=PREFERRING))


def requests(load: float) -> int:
    """Requests to simulate: more where the queue forgets slowly."""
    return 120_000 if load < 0.6 else 250_000 if load < 0.85 else 600_000


def example(number: int) -> Example | None:
    """What is seen of a question; None where the chain is exact."""
    case = case_of(number)
    if exact(case.batcher, case.arrivals):
        return None
    seen = simulate_batching(case.batcher, case.arrivals, requests=requests(case.load), seed=number + 7)
    return compared(case, np.quantile(seen.e2e_s, KNOTS), np.quantile(seen.queue_s, KNOTS), seen.mean_batch)


def compared(case: BatchingCase, e2e_s: Array, queue_s: Array, mean_batch: float) -> Example:
    """Quantiles seen at the knots, and the mean batch, beside the chain's."""
    found, one = chain_answer(case.batcher, case.arrivals), float(case.batcher.means_s[1])
    return Example(
        inputs=network_inputs(case.batcher, case.arrivals, found),
        outputs=np.array(
            [
                np.log(mean_batch / found.mean_batch),
                *np.log(e2e_s / found.e2e.quantiles(KNOTS)),
                *np.log((queue_s / one + FLOOR) / (found.queue.quantiles(KNOTS) / one + FLOOR)),
            ]
        ),
    )


def _network(kept: dict[int, Example | None], options: argparse.Namespace) -> str:
    examples = [found for found in kept.values() if found is not None]
    inputs, outputs = (np.array(rows) for rows in _columns(examples))
    how = Training(hidden=(96, 64), members=2, steps=options.steps, decay=1e-4, jobs=options.jobs)
    network = train(inputs, outputs - TOLERANCE, outputs + TOLERANCE, np.ones(len(examples)), how)
    off = np.round(np.median(np.abs(network(inputs) - outputs), axis=0), 4)
    print(f"{len(examples)} examples, median error of what was learned from {off}", file=sys.stderr)
    return network.to_text()


def _columns(examples: Iterable[Example]) -> tuple[list[Array], list[Array]]:
    rows = list(examples)
    return [each.inputs for each in rows], [each.outputs for each in rows]


def _module(text: str) -> str:
    head, _, numbers = text.partition("\n")
    lines = ['"""What `models.bulk_queue` misses; written by scripts/fit_batching.py."""', "", "NETWORK = ("]
    lines += [f'    "{head}\\n"', *(f'    "{numbers[i : i + 100]}"' for i in range(0, len(numbers), 100))]
    return "\n".join([*lines, ")"]) + "\n"


if __name__ == "__main__":
    main()
