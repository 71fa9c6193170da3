"""How accurate predictions are against the step simulator: `make bench-accuracy` writes docs/accuracy.md.

Seeded random configurations; percentiles of ttft, itl and e2e; replica counts. What was simulated is kept under
.benchmarks/, so that a second run costs only the predictions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.accuracy_cases import Case, case
from benchmarks.accuracy_observed import Observations, Observed, key, observe
from benchmarks.accuracy_report import Run, report
from benchmarks.accuracy_score import replica_counts, scores
from models.capacity import capacity

ROOT = Path(__file__).resolve().parent.parent
COUNTED = 3
"""One case in so many is also asked for its replica count."""


def main() -> None:
    """Simulate what is missing, score everything, write the report."""
    options = _options()
    cases = [case(number, options.seed) for number in range(options.cases)]
    kept = Observations(ROOT / ".benchmarks" / "accuracy.json")
    missing = [each for each in cases if kept.get(_key(each, options.requests)) is None]
    for done, (each, observed) in enumerate(_simulated(missing, options.requests, options.jobs), start=1):
        kept.keep(_key(each, options.requests), observed)
        print(f"\rsimulated {done} of {len(missing)} cases", end="", file=sys.stderr, flush=True)
        if done % 20 == 0 or done == len(missing):
            kept.write()
    if missing:
        print(file=sys.stderr)
    seen = [(each, found) for each in cases if (found := kept.get(_key(each, options.requests))) is not None]
    run = Run(
        cases=len(cases),
        requests=options.requests,
        seed=options.seed,
        capacities=[
            capacity(each.engine, each.lengths).requests_per_s / observed.saturation for each, observed in seen
        ],
        unstable=sum(not observed.stable for _, observed in seen),
        scores=[score for each, observed in seen for score in scores(each, observed)],
        counts=[count for each, observed in seen for count in replica_counts(each, observed)],
    )
    text = report(run)
    if options.write:
        Path(options.write).write_text(text, encoding="utf-8")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--requests", type=int, default=400_000, help="simulated requests a case")
    parser.add_argument("--jobs", type=int, default=2, help="processes that simulate")
    parser.add_argument("--write", default=str(ROOT / "docs" / "accuracy.md"), help="file of the report; '' for none")
    return parser.parse_args()


def _searched(each: Case) -> bool:
    return each.number % COUNTED == 0


def _key(each: Case, requests: int) -> str:
    return key(each, requests, search=_searched(each))


def _observe(each: Case, requests: int) -> tuple[Case, Observed]:
    return each, observe(each, requests, search=_searched(each))


def _simulated(cases: list[Case], requests: int, jobs: int) -> Iterator[tuple[Case, Observed]]:
    if jobs <= 1:
        yield from map(partial(_observe, requests=requests), cases)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_observe, requests=requests), cases)


if __name__ == "__main__":
    main()
