"""How well percentiles are read from a histogram's buckets: the fitted law and `histogram_quantile` against the client.

Over 16 runs of a real vLLM; the client measured each request. A server's TTFT starts later than the client's by what
HTTP and tokenising cost, 10 % here, which no reading of buckets can know: the means, exact on both sides, show it.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.exposition import DATA, archived, samples
from models.histogram_law import BucketCounts, law

FAMILIES = {
    "ttft": "vllm:time_to_first_token_seconds",
    "itl": "vllm:inter_token_latency_seconds",
    "tpot": "vllm:request_time_per_output_token_seconds",
    "e2e": "vllm:e2e_request_latency_seconds",
}
QUANTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run and metric: relative errors at each of QUANTILES, and of the mean."""

    run: str
    metric: str
    observations: int
    mean: float
    fitted: tuple[float, ...]
    interpolated: tuple[float, ...]


def histogram(before: str, after: str, family: str) -> BucketCounts:
    """What a family observed between two pages."""
    (first, sum_first), (last, sum_last) = _reading(before, family), _reading(after, family)
    first = first or dict.fromkeys(last, 0.0)  # a family appears with its first observation
    return BucketCounts.increase(first, last, sum_before=sum_first, sum_after=sum_last)


def _reading(page: str, family: str) -> tuple[dict[float, float], float]:
    found = [sample for sample in samples(page) if sample.name.startswith(family)]
    buckets = {float(s.labels["le"]): s.value for s in found if s.name == f"{family}_bucket"}
    return buckets, sum(s.value for s in found if s.name == f"{family}_sum")


def rows() -> Iterator[Row]:
    """Every run and metric."""
    pages = archived("vllm_before_after.tar.xz")
    with (DATA / "vllm_client_percentiles.csv").open(encoding="utf-8", newline="") as stream:
        for entry in csv.DictReader(stream):
            run = f"{entry['engine']}/{entry['run']}"
            for metric, family in FAMILIES.items():
                seen = histogram(pages[f"{run}.before"], pages[f"{run}.after"], family)
                exact = [float(entry[f"{metric}_p{100 * q:g}_ms"]) * 1e-3 for q in QUANTILES]
                fitted = law(seen).quantiles(QUANTILES)
                yield Row(
                    run=run,
                    metric=metric,
                    observations=round(seen.total),
                    mean=(seen.mean_s or 0.0) / (float(entry[f"{metric}_mean_ms"]) * 1e-3) - 1.0,
                    fitted=tuple(float(value) / true - 1.0 for value, true in zip(fitted, exact, strict=True)),
                    interpolated=tuple(
                        seen.interpolated(q) / true - 1.0 for q, true in zip(QUANTILES, exact, strict=True)
                    ),
                )


def _summary(errors: list[float]) -> str:
    sizes = sorted(abs(error) for error in errors)
    ninetieth = sizes[min(len(sizes) - 1, round(0.9 * (len(sizes) - 1)))]
    return f"{statistics.median(sizes):7.1%} {ninetieth:7.1%} {sizes[-1]:7.1%}"


def main() -> None:
    """Print a line for every run and metric, and what they come to."""
    table = list(rows())
    print("relative error in %, fitted / histogram_quantile")
    print(f"{'run':33} {'':5}{'seen':>6} {'mean':>7}  " + "  ".join(f"{f'p{100 * q:g}':>13}" for q in QUANTILES))
    for row in table:
        pairs = zip(row.fitted, row.interpolated, strict=True)
        shown = "  ".join(f"{100 * fit:+6.1f}/{100 * line:+6.1f}" for fit, line in pairs)
        print(f"{row.run:33} {row.metric:5}{row.observations:6d} {100 * row.mean:+6.1f}%  {shown}")
    print(f"\n{'|error|':12}{'fitted: median, p90, worst':>28}   {'histogram_quantile: the same':>30}")
    for metric in FAMILIES:
        fitted = [error for row in table if row.metric == metric for error in row.fitted]
        lines = [error for row in table if row.metric == metric for error in row.interpolated]
        print(f"{metric:12}{_summary(fitted):>28}   {_summary(lines):>30}")


if __name__ == "__main__":
    main()
