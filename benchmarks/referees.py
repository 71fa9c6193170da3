"""How far apart the two simulators are on random configurations, and predictions from the second.

First both play the very same requests, and then each its own. Apart from noise they should agree: noise is how far two
runs of the second, with different seeds, are apart, and a bias would show in the mean over cases, signs kept.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy_cases import Case, case, saturation_rate, workload
from benchmarks.accuracy_observed import METRICS, QUANTILES
from benchmarks.machine import machine
from benchmarks.request_trace import Floats, Trace, draw
from benchmarks.second_referee import Seen, referee, replay
from models.continuous_batching import predict
from models.engine import Engine
from models.prediction import Prediction, Routing
from models.simulation import step_loop
from models.simulation.replicas import simulate
from models.step_time import LinearStepTime

WITHIN = 0.08
WORST = 5
SAME = 5_000
"""Requests that both simulators play."""


VERSION = """\
Both schedule as vLLM V1 did from 0.8 on until pull request 37307 (March 2026): a waiting request is admitted as soon as
KV memory has room for its *first chunk*. Later versions admit it when its whole prompt fits, unless told otherwise
(`scheduler_reserve_full_isl`). The two rules differ only where prompts take several steps and KV memory is short: there
the newer engine lets requests wait that the older one admits, preempts and computes again."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One case: percentiles (metric, level) by each witness, seconds."""

    case: Case
    first: list[float]
    second: list[float]
    again: list[float]
    predicted: list[float]
    preemptions: tuple[float, float]
    unlike: float
    """Largest relative difference of any request's latencies when both simulators play the same requests."""


NAMES = [f"{metric} p{100 * level:.0f}" for metric in METRICS for level in QUANTILES]


def main() -> None:
    """Simulate every case and print the distances."""
    options = _options()
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(_judged(pool, options))
    judged = [each for each in found if each is not None]
    summary = _summary(judged, options)
    print(summary)
    for witness in ("first", "predicted"):
        for index, name in enumerate(NAMES):
            _worst(name, index, witness, judged)
    if options.write:
        Path(options.write).write_text(_document(summary, options), encoding="utf-8")


def _summary(judged: list[Judged], options: argparse.Namespace) -> str:
    every = np.concatenate(
        [
            np.abs(np.array(each.predicted) / np.sqrt(np.array(each.second) * np.array(each.again)) - 1.0)
            for each in judged
        ]
    )
    lines = [
        f"{len(judged)} cases of {options.cases} stable.",
        f"The same requests: latencies differ by at most {max(each.unlike for each in judged):.1e}.",
        "",
        "           two simulators                           noise            prediction against the second",
        "           median     p90     max    signed mean    median     p90   median     p90     max  within 8 %",
        *(_line(name, index, judged) for index, name in enumerate(NAMES)),
        "",
        f"all percentiles, prediction against the second: median {np.median(every):.1%},",
        f"90th percentile {np.quantile(every, 0.9):.1%}, within 8 % {np.mean(every <= WITHIN):.0%}",
    ]
    return "\n".join(lines)


def _document(summary: str, options: argparse.Namespace) -> str:
    today = datetime.now(UTC).date().isoformat()
    return f"""# The second referee

Written by `make bench-referee` on {today}: {machine()}.
{options.cases} random configurations (seed {options.seed}), {options.requests:,} requests each.

Predictions are developed and learned with the project's step simulator. `benchmarks/second_referee.py` simulates the
same scheduler, written apart from it and without sight of it. Given the very same requests both say the same of each;
given their own, they differ by noise, which is how far two runs of the second are apart.

{VERSION}

```text
{summary}
```
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--requests", type=int, default=100_000, help="simulated requests a case")
    parser.add_argument("--jobs", type=int, default=1, help="processes that simulate")
    parser.add_argument("--write", help="file of the report, docs/referee.md")
    return parser.parse_args()


def _judged(pool: ProcessPoolExecutor, options: argparse.Namespace) -> Iterator[Judged | None]:
    cases = [case(number, options.seed) for number in range(options.cases)]
    return pool.map(partial(judge, requests=options.requests), cases)


def judge(each: Case, requests: int) -> Judged | None:
    """All witnesses on one case; None where the step simulator finds no steady state."""
    asked = workload(each, saturation_rate(each))
    # Streams of its own for each case: cases that share one share its luck, and no mean over them would tell.
    ours, theirs, again_theirs, same = (int(seed) for seed in np.random.SeedSequence(each.number).generate_state(4))
    first = simulate(
        each.engine, asked, replicas=each.replicas, routing=each.routing, requests=requests, seed=ours
    ).prediction
    if not first.stable:
        return None
    second, again = (
        referee(each.engine, asked, replicas=each.replicas, routing=each.routing, requests=requests, seed=seed)
        for seed in (theirs, again_theirs)
    )
    return Judged(
        case=each,
        first=_of_laws(first),
        second=_of_seen(second),
        again=_of_seen(again),
        predicted=_of_laws(predict(each.engine, asked, replicas=each.replicas, routing=each.routing)),
        preemptions=(first.preemptions_per_request, second.preemptions_per_request),
        unlike=unlike(each.engine, draw(asked, SAME, seed=same), each.replicas),
    )


def unlike(engine: Engine, trace: Trace, replicas: int) -> float:
    """Largest relative difference of any request's latencies between the simulators, routed at random alike.

    Above 1 where one preempts more often than the other.
    """
    step, limits = engine.step_time, engine.limits
    assert isinstance(step, LinearStepTime)
    room = int(min(limits.kv_blocks, 1e12)) * limits.kv_block_size
    short = np.minimum(trace.output, room - 1)
    trace = trace._replace(output=short, prompt=np.minimum(trace.prompt, room - short))
    when, admitted, first, done, *_, totals = step_loop.run(
        *(trace.arrival_s, trace.prompt, trace.cached, trace.output),
        *(np.minimum((trace.chance * replicas).astype(np.int64), replicas - 1), step_loop.ROUTE_GIVEN, replicas),
        *(np.zeros(0), 0, 0),
        np.array([step.base_s, step.per_prefill_token_s, step.per_decode_s, step.per_kv_token_s]),
        *(np.zeros(0), limits.max_num_seqs, limits.max_num_batched_tokens, room // limits.kv_block_size),
        *(limits.kv_block_size, limits.chunked_prefill, 1, 0, trace.prompt.size),
    )
    seen = replay(engine, trace, replicas=replicas, routing=Routing.RANDOM, all_count=True)
    pairs = ((seen.queue, admitted - when), (seen.ttft, first - when), (seen.e2e, done - when))
    worst = max(float(np.max(np.abs(ours - theirs) / np.maximum(theirs, step.base_s))) for ours, theirs in pairs)
    return worst + abs(round(seen.preemptions_per_request * trace.prompt.size) - float(totals[0]))


def _of_laws(found: Prediction) -> list[float]:
    if not found.stable:
        return [math.inf] * len(NAMES)
    return [found.laws[metric].quantile(level) for metric in METRICS for level in QUANTILES]


def _of_seen(seen: Seen) -> list[float]:
    return [value for metric in METRICS for value in seen.quantiles(metric, QUANTILES)]


def _line(name: str, index: int, judged: list[Judged]) -> str:
    first, second, again, predicted = (
        np.array([getattr(each, witness)[index] for each in judged])
        for witness in ("first", "second", "again", "predicted")
    )
    both = np.sqrt(second * again)
    signed = np.log(first / both)
    error = signed.std(ddof=1) / math.sqrt(signed.size)
    apart, noise, wrong = (np.abs(a / b - 1.0) for a, b in ((first, second), (again, second), (predicted, both)))
    return (
        f"{name:9}{_shares(apart, 0.5, 0.9, 1.0)}  {signed.mean():+6.2%} ± {error:5.2%}   {_shares(noise, 0.5, 0.9)}"
        f" {_shares(wrong, 0.5, 0.9, 1.0)}  {np.mean(wrong <= WITHIN):6.1%}"
    )


def _shares(values: Floats, *levels: float) -> str:
    return "".join(f"{np.quantile(values, level, method='inverted_cdf'):8.2%}" for level in levels)


def _worst(name: str, index: int, witness: str, judged: list[Judged]) -> None:
    print(f"\n{name}: cases where {witness} and second are furthest apart")

    def apart(each: Judged) -> float:
        return float(getattr(each, witness)[index]) / each.second[index] - 1.0

    for each in sorted(judged, key=lambda each: -abs(apart(each)))[:WORST]:
        print(
            f"  {apart(each):+8.2%} (noise {abs(each.again[index] / each.second[index] - 1.0):6.2%})"
            f"  {getattr(each, witness)[index]:.4g} s and {each.second[index]:.4g} s,"
            f" preempted {each.preemptions[0]:.2f} and {each.preemptions[1]:.2f}  #{each.case.number} {each.case.label}"
        )


if __name__ == "__main__":
    main()
