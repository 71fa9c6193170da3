"""What is asked of the metrics of one target, each a PromQL expression that sums up by the labels that name it.

Every name that a metric has had is asked for by itself and joined with `or`, the newest first: functions over time drop
the name, and two series without one would be the same. Per series, so that two versions in one target both count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from planner.engine_metrics import EngineMetrics, Metric
from planner.promql import chosen, matcher

ENDED_BADLY = ("abort", "error")
"""vLLM counts these among its successes, told apart by `finished_reason`."""
OF_THE_SCRAPE = ("job", "service", "endpoint", "container", "prometheus", "prometheus_replica")
"""Labels that say who scraped a pod: one that two jobs scrape counts once."""


class Meaning(StrEnum):
    """One number of a target; rates are per second and means sums over counts, SI units."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    ARRIVED = "arrived"
    RUNNING = "running"
    WAITING = "waiting"
    RUNNING_GROWTH = "running_growth"
    WAITING_GROWTH = "waiting_growth"
    PROMPT_SUM = "prompt_tokens_sum"
    PROMPT_COUNT = "prompt_tokens_count"
    OUTPUT_SUM = "output_tokens_sum"
    OUTPUT_COUNT = "output_tokens_count"
    TTFT_SUM = "ttft_sum"
    TTFT_COUNT = "ttft_count"
    ITL_SUM = "itl_sum"
    ITL_COUNT = "itl_count"
    E2E_SUM = "e2e_sum"
    E2E_COUNT = "e2e_count"
    PROMPT_BUCKETS = "prompt_tokens_bucket"
    """Cumulative, a row for each `le`."""
    OUTPUT_BUCKETS = "output_tokens_bucket"
    KV_USAGE = "kv_usage"
    PODS = "pods"
    """Distinct values of the label `pod` that report."""
    INSTANCES = "instances"
    """Distinct addresses that report and carry no such label."""
    NEWEST = "newest"
    OLDEST = "oldest"
    SCRAPES = "scrapes"
    """Of the pod that has most, within the window."""
    RESETS = "resets"
    NOW = "now"
    """The server's own time."""


GROWTHS = frozenset({Meaning.RUNNING_GROWTH, Meaning.WAITING_GROWTH})
"""The only ones that may be negative."""
PROMPT = (Meaning.PROMPT_SUM, Meaning.PROMPT_COUNT)
OUTPUT = (Meaning.OUTPUT_SUM, Meaning.OUTPUT_COUNT)
TTFT = (Meaning.TTFT_SUM, Meaning.TTFT_COUNT)
ITL = (Meaning.ITL_SUM, Meaning.ITL_COUNT)
E2E = (Meaning.E2E_SUM, Meaning.E2E_COUNT)

Asked = Iterator[tuple[Meaning, str]]


@dataclass(frozen=True, kw_only=True)
class EngineQuestions:
    """Of one kind of engine, by the labels `by`, among the series that the matchers leave."""

    metrics: EngineMetrics
    by: tuple[str, ...]
    matchers: tuple[str, ...] = ()
    window_s: int = 60

    def all(self) -> Asked:
        """Each meaning that the engine's metrics have."""
        yield from self._counts()
        yield from self._gauges()
        yield from self._means()
        yield from self._reporting()

    def buckets(self) -> Asked:
        """Of the lengths of requests: a row for each upper end, whose label `le` is among `by`."""
        metrics = self.metrics
        for meaning, metric in (
            (Meaning.PROMPT_BUCKETS, metrics.prompt_length),
            (Meaning.OUTPUT_BUCKETS, metrics.output_length),
        ):
            if metric is not None:
                yield meaning, self._sum(self._over("rate", metric, part="_bucket"))

    def _counts(self) -> Asked:
        metrics = self.metrics
        if metrics.failed is None:
            good, bad = f'finished_reason!~"{"|".join(ENDED_BADLY)}"', matcher("finished_reason", ENDED_BADLY)
            yield Meaning.SUCCEEDED, self._sum(self._over("rate", metrics.succeeded, good))
            yield Meaning.FAILED, self._sum(self._over("rate", metrics.succeeded, bad))
        else:
            yield Meaning.SUCCEEDED, self._sum(self._over("rate", metrics.succeeded))
            yield Meaning.FAILED, self._sum(self._over("rate", metrics.failed))
        if metrics.rejected is not None:
            yield Meaning.REJECTED, self._sum(self._over("rate", metrics.rejected))

    def _gauges(self) -> Asked:
        metrics = self.metrics
        for now, growth, metric in (
            (Meaning.RUNNING, Meaning.RUNNING_GROWTH, metrics.running),
            (Meaning.WAITING, Meaning.WAITING_GROWTH, metrics.waiting),
        ):
            if metric is not None:
                yield now, self._sum(self._each(metric))
                yield growth, f"{self._sum(self._over('delta', metric))} / {self.window_s}"
        if metrics.kv_usage is not None:
            yield Meaning.KV_USAGE, self._of("max", self._over("avg_over_time", metrics.kv_usage))
        elif metrics.kv_used_blocks is not None and metrics.kv_blocks is not None:
            apart = ",".join(metrics.kv_blocks.where)
            used = self._over("avg_over_time", metrics.kv_used_blocks)
            yield Meaning.KV_USAGE, self._of("max", f"({used}) / ignoring ({apart}) ({self._each(metrics.kv_blocks)})")

    def _means(self) -> Asked:
        metrics = self.metrics
        for (total, count), metric in (
            (PROMPT, metrics.prompt_length),
            (OUTPUT, metrics.output_length),
            (TTFT, metrics.ttft),
            (ITL, metrics.itl),
            (E2E, metrics.e2e),
        ):
            if metric is not None:
                scale = "" if metric.to_si == 1.0 else f"{metric.to_si:g} * "
                yield total, scale + self._sum(self._over("rate", metric, part="_sum"))
                yield count, self._sum(self._over("rate", metric, part="_count"))
        if metrics.e2e is None and metrics.e2e_sum is not None:
            yield E2E[0], f"{metrics.e2e_sum.to_si:g} * {self._sum(self._over('rate', metrics.e2e_sum))}"
            yield E2E[1], self._sum(self._over("rate", metrics.succeeded))

    def _reporting(self) -> Asked:
        witness = self.metrics.waiting
        by = self._labels(*self.by)
        pod, instance = self._labels(*self.by, "pod"), self._labels(*self.by, "instance")
        replica = self._labels(*self.by, "pod", "instance")
        times = " or ".join(f"timestamp({self._series(name, witness)})" for name in witness.names)
        named, unnamed = self._each(witness, 'pod!=""'), self._each(witness, 'pod=""')
        yield Meaning.PODS, f"count by {by} (group by {pod} ({named}))"
        yield Meaning.INSTANCES, f"count by {by} (group by {instance} ({unnamed}))"
        yield Meaning.NEWEST, f"max by {by} ({times})"
        yield Meaning.OLDEST, f"min by {by} (max by {replica} ({times}))"
        yield Meaning.SCRAPES, f"max by {by} ({self._over('count_over_time', witness)})"
        resets = self._over("resets", self.metrics.succeeded)
        yield Meaning.RESETS, f"sum by {by} (max by {replica} ({resets}))"

    def _sum(self, expression: str) -> str:
        apart = [name for name in OF_THE_SCRAPE if name not in self.by]
        return self._of("sum", f"max without {self._labels(*apart)} ({expression})")

    def _of(self, aggregate: str, expression: str) -> str:
        return f"{aggregate} by {self._labels(*self.by)} ({expression})"

    def _over(self, function: str, metric: Metric, *more: str, part: str = "") -> str:
        """A function over the window of each of a metric's names."""
        return " or ".join(
            f"{function}({self._series(name + part, metric, *more)}[{self.window_s}s])" for name in metric.names
        )

    def _each(self, metric: Metric, *more: str) -> str:
        return " or ".join(self._series(name, metric, *more) for name in metric.names)

    def _series(self, name: str, metric: Metric, *more: str) -> str:
        where = (matcher(label, [value]) for label, value in metric.where.items())
        return chosen([name], [*self.matchers, *where, *more])

    @staticmethod
    def _labels(*names: str) -> str:
        return f"({','.join(dict.fromkeys(names))})"


def arrivals_asked(metric: str, by: Sequence[str], matchers: Sequence[str], window_s: int) -> Asked:
    """Of a counter before the engines."""
    labels, series = f"({','.join(by)})", chosen([metric], matchers)
    yield Meaning.ARRIVED, f"sum by {labels} (rate({series}[{window_s}s]))"
    yield Meaning.NEWEST, f"max by {labels} (timestamp({series}))"
