"""How fast Replicast is, against the goals it was given: `make bench` prints the table and writes docs/speed.md.

Whole processes are timed from outside, warm, the median of several runs. They come first and this process imports
nothing heavy before them: a child's peak memory (`wait4`) begins with its parent's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import machine

if TYPE_CHECKING:
    from models.engine import Engine
    from models.workload import Workload

PROFILE = "llama-3.1-8b-a100-vllm"
CALL = "import sys; sys.argv[0] = 'planner'; from planner.cli.main import main; sys.exit(main())"
LENGTHS = ["--input-tokens", "512", "--output-tokens", "128"]
SLOS = ["--slo", "ttft:p99<=500ms", "--slo", "itl:p95<=60ms"]
SIZE = ["size", "--profile", PROFILE, "--qps", "20", *LENGTHS, *SLOS]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number and the bound it was given, if any."""

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def goal(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:,g} {self.unit}"
        return "" if self.at_least is None else f"≥ {self.at_least:,g} {self.unit}"

    @property
    def verdict(self) -> str:
        if not self.goal:
            return ""
        met = self.value <= self.at_most if self.at_most is not None else self.value >= (self.at_least or 0.0)
        return "met" if met else "**not met**"

    def cells(self) -> tuple[str, str, str, str]:
        """The row of the table."""
        digits = f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.3g}"
        return self.what, f"{digits} {self.unit}", self.goal, self.verdict


@dataclass(frozen=True, kw_only=True)
class Child:
    """A finished child process."""

    seconds: float
    peak_memory_mb: float


def child(*arguments: str) -> Child:
    """Run this Python with `arguments`, output dropped, and wait; stop the benchmark if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(arguments)}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Child(seconds=seconds, peak_memory_mb=kilobytes / 1024)


def planner(*arguments: str) -> Child:
    return child("-c", CALL, *arguments)


def median_child(run: Callable[[], Child], repeats: int = 9) -> Child:
    """The median time and the highest memory of several runs, after one that warms the caches."""
    run()
    runs = [run() for _ in range(repeats)]
    return Child(
        seconds=statistics.median(each.seconds for each in runs),
        peak_memory_mb=max(each.peak_memory_mb for each in runs),
    )


def median_seconds(call: Callable[[], object], repeats: int = 21) -> float:
    """The median duration of a call in this process, after one that warms it up."""
    call()
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def whole_processes() -> Iterator[Figure]:
    """What a person at the terminal waits for."""
    bare = median_child(lambda: child("-c", "pass")).seconds
    numpy = median_child(lambda: child("-c", "import numpy")).seconds
    usage = median_child(lambda: planner("--help"))
    size = median_child(lambda: planner(*SIZE))
    yield Figure(what="`python -c pass`", value=bare, unit="s")
    yield Figure(what="`python -c 'import numpy'`", value=numpy, unit="s")
    yield Figure(what="`planner --help`", value=usage.seconds, unit="s", at_most=0.2)
    yield Figure(what="`planner --help` ÷ `python -c pass`", value=usage.seconds / bare, unit="×")
    yield Figure(what="`planner size`", value=size.seconds, unit="s", at_most=0.6)
    yield Figure(what="`planner size` ÷ `python -c 'import numpy'`", value=size.seconds / numpy, unit="×")
    yield Figure(what="`planner size`, peak memory", value=size.peak_memory_mb, unit="MB", at_most=150)


def fleet(entries: int = 1000) -> Iterator[Figure]:
    """Many different workloads in one file."""
    lines = ["workloads:"]
    for index in range(entries):
        lines += [
            f"  - name: service-{index}",
            f"    profile: {PROFILE}",
            f"    qps: {1 + 0.37 * index:.2f}",
            f"    inputTokens: {128 + 7 * (index % 300)}",
            f"    outputTokens: {32 + 3 * (index % 200)}",
            "    objectives: ['ttft:p99<=2s', 'itl:p95<=100ms']",
        ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fleet.yaml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        run = planner("size", "--fleet", str(file))
    yield Figure(what=f"`planner size --fleet`, {entries:,} workloads", value=run.seconds, unit="s", at_most=10)
    yield Figure(what="`planner size --fleet`, peak memory", value=run.peak_memory_mb, unit="MB")


def engine() -> Engine:
    """An 8B model on an A100, as in the profile."""
    from models.engine import Engine, EngineLimits
    from models.step_time import LinearStepTime

    step_time = LinearStepTime(base_s=9.0e-3, per_prefill_token_s=8.5e-5, per_decode_s=5.0e-5, per_kv_token_s=6.5e-8)
    return Engine(step_time=step_time, limits=EngineLimits(kv_cache_tokens=400_000))


def workload(rate_per_s: float) -> Workload:
    """512 tokens in, 128 out, open arrivals."""
    from models.token_lengths import TokenLengths
    from models.workload import OpenArrivals, Workload

    return Workload(arrivals=OpenArrivals(rate_per_s=rate_per_s), lengths=TokenLengths.of(512, 128))


def rate_at(load: float) -> float:
    """Requests a second that are that share of one replica's capacity."""
    from models.capacity import capacity

    return load * capacity(engine(), workload(1.0).lengths).requests_per_s


def predictions() -> Iterator[Figure]:
    """One prediction in this process, by load."""
    from models.continuous_batching import predict

    for load in (0.3, 0.7, 0.95):
        seconds = median_seconds(partial(predict, engine(), workload(rate_at(load)), replicas=1))
        yield Figure(what=f"one prediction, {load:.0%} load", value=1e3 * seconds, unit="ms", at_most=5)


def sizings() -> Iterator[Figure]:
    """One sizing in this process, the least of 1 to 1,000 replicas, and that its cost does not grow with the answer."""
    from models.objective import Objective
    from planner.sizing import size

    objectives = [
        Objective(metric="ttft", quantile=0.99, limit_s=0.5),
        Objective(metric="itl", quantile=0.95, limit_s=0.06),
    ]

    def timed(rate_per_s: float, most: int) -> tuple[float, int]:
        ask = partial(size, engine(), workload(rate_per_s), objectives, max_replicas=most)
        return 1e3 * median_seconds(ask), ask().replicas

    rate_of_one = rate_at(0.7)
    ten, tens = timed(10 * rate_of_one, 1000)
    for rate_per_s, most in ((20.0, 1000), (500 * rate_of_one, 1000)):
        seconds, replicas = timed(rate_per_s, most)
        yield Figure(what=f"one sizing over 1–1,000, answer {replicas:,}", value=seconds, unit="ms", at_most=20)
    for what, rate_per_s in (
        ("10,000 times one replica's load", 1e4 * rate_of_one),
        ("100,000 requests a second", 1e5),
    ):
        seconds, replicas = timed(rate_per_s, 1_000_000)
        ratio = f"sizing {what} (answer {replicas:,}) ÷ sizing ten times (answer {tens})"
        yield Figure(what=ratio, value=seconds / ten, unit="×", at_most=1.1)


def simulator() -> Iterator[Figure]:
    """Requests that the step simulator serves in a second on one core, compilation left out."""
    from models.simulation.replicas import simulate

    question, requests = workload(rate_at(0.8)), 200_000
    simulate(engine(), question, replicas=1, requests=1_000, seed=1)
    seconds = median_seconds(lambda: simulate(engine(), question, replicas=1, requests=requests, seed=2), repeats=3)
    what = "simulated requests a second, 512/128 tokens, 80 % load"
    yield Figure(what=what, value=requests / seconds, unit="1/s", at_least=200_000)


def table(figures: list[Figure]) -> str:
    """A Markdown table that also reads well in a terminal."""
    rows = [("figure", "measured", "goal", ""), *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rule = ("-" * widths[0], "-" * (widths[1] - 1) + ":", "-" * widths[2], "-" * widths[3])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (rows[0], rule, *rows[1:])
    )


def document(figures: list[Figure]) -> str:
    """docs/speed.md."""
    today = datetime.now(UTC).date().isoformat()
    return (
        "# Speed\n\n"
        f"Written by `make bench` on {today}: {machine()}.\n"
        "Whole processes are medians of nine warm runs; calls in process are medians of 21.\n\n"
        f"{table(figures)}\n"
    )


def main() -> None:
    """Measure everything, print it, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the Markdown document")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for measure in (whole_processes, fleet, predictions, sizings, simulator):
        for figure in measure():
            print("  ".join(cell for cell in figure.cells() if cell), flush=True)
            figures.append(figure)
    if arguments.write:
        arguments.write.write_text(document(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
