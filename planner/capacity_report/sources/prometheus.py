"""History out of a Prometheus that scraped the engines: arrivals, tokens, replicas, and whether objectives held.

A slot of which the server knows less than nineteen twentieths is not known. Growth of counters is PromQL's `increase`,
which follows resets and extrapolates to the slot's edges; percentiles are `histogram_quantile`, linear within a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.objective import Objective
from planner.capacity_report.history import History, Slots
from planner.capacity_report.period import Period
from planner.engine_metrics import BY_ENGINE, EngineMetrics, Metric
from planner.metrics_server import MetricsServer
from planner.objective import as_written
from planner.promql import matcher, selector

POINTS = 5000
"""At most, of a question; servers refuse above 11,000."""
_MINUTE_S = 60
_KNOWN = 0.95
_GPU_REQUESTS = "kube_pod_container_resource_requests"
_GPU_RESOURCES = ("nvidia_com_gpu", "amd_com_gpu")


@dataclass(frozen=True, kw_only=True)
class Scraped:
    """Whose metrics, and what is asked of them."""

    engine: str
    labels: Mapping[str, str]
    """That select the engine's series."""
    gpu_labels: Mapping[str, str] | None
    """That select its pods among kube-state-metrics' GPU requests; None: replicas are the pods that report."""
    gpus_per_replica: int
    objectives: tuple[Objective, ...]


def prometheus_history(server: MetricsServer, scraped: Scraped, period: Period, *, covered: int) -> History:
    """Of one service, over the slots that are over. Raises InvalidInput where the server does not answer."""
    return _Asked(server, scraped, period, covered).history()


class _Asked:
    """The questions about one service, and how their answers fall together."""

    def __init__(self, server: MetricsServer, scraped: Scraped, period: Period, covered: int) -> None:
        self._server, self._scraped, self._period, self._covered = server, scraped, period, covered
        self._metrics: EngineMetrics = BY_ENGINE[scraped.engine]
        self._slot = f"{period.slot_s}s"

    def history(self) -> History:
        known = self._known()
        met, notes = self._met()
        return replace(
            History.unknown(self._period),
            requests=np.where(known, self._requests(), np.nan),
            input_tokens=np.where(known, self._growth(self._metrics.prompt_tokens), np.nan),
            output_tokens=np.where(known, self._growth(self._metrics.output_tokens), np.nan),
            replicas=self._replicas(known),
            met=np.where(known, met, np.nan),
            sources=(f"Prometheus {self._server.address}, {selector_text(self._scraped.labels)}",),
            notes=tuple(notes),
        )

    # --- questions

    def _ask(self, query: str, *, first: int = 1) -> Slots:
        """The sum of the answer's series at the end of each slot (`first` 0: at every edge); NaN for none."""
        edges = self._period.edges_s[first : self._covered + 1]
        values = np.full(self._period.slots + 1 - first, np.nan)
        for begin in range(0, len(edges), POINTS):
            part = edges[begin : begin + POINTS]
            found = self._server.range(query, start_s=int(part[0]), end_s=int(part[-1]), step_s=self._period.slot_s)
            for series in found:
                for time_s, value in series.points:
                    at = begin + round((time_s - part[0]) / self._period.slot_s)
                    values[at] = value if np.isnan(values[at]) else values[at] + value
        return values

    def _by_name(self, metric: Metric, form: str, suffix: str = "") -> str:
        """The form with a selector of the newest name that answers."""
        names = [f"{name}{suffix}" for name in metric.names]
        return " or ".join(
            form.format(selector([name], {**self._scraped.labels, **metric.where}), slot=self._slot) for name in names
        )

    def _growth(self, metric: Metric | None, suffix: str = "") -> Slots:
        if metric is None:
            return np.full(self._period.slots, np.nan)
        return self._ask(self._by_name(metric, "sum(increase({}[{slot}]))", suffix))

    def _over_minutes(self, function: str, inner: str) -> str:
        return f"{function}(({inner})[{self._slot}:{_MINUTE_S}s])"

    def _reporting(self) -> str:
        return f"count(count by (pod, instance) ({self._by_name(self._metrics.waiting, '{}')}))"

    # --- answers

    def _known(self) -> np.ndarray:
        """Slots in nearly every minute of which some replica reported."""
        minutes = self._ask(self._over_minutes("count_over_time", self._reporting()))
        return np.nan_to_num(minutes) >= _KNOWN * self._period.slot_s / _MINUTE_S

    def _requests(self) -> Slots:
        """Arrivals: those that ended, well or not, those that were turned away, and the growth of those inside."""
        ended = self._growth(self._metrics.succeeded)
        others = [self._growth(metric) for metric in (self._metrics.failed, self._metrics.rejected) if metric]
        inside = [
            self._ask(self._by_name(metric, "sum({})"), first=0)
            for metric in (self._metrics.running, self._metrics.waiting)
            if metric is not None
        ]
        growth = np.diff(np.sum([np.nan_to_num(each) for each in inside], axis=0))
        arrived: Slots = np.maximum(ended + np.sum([np.nan_to_num(each) for each in others], axis=0) + growth, 0.0)
        return arrived

    def _replicas(self, known: np.ndarray) -> Slots:
        labels = self._scraped.gpu_labels
        if labels is None:
            reporting = self._ask(self._over_minutes("avg_over_time", self._reporting()))
            return np.where(known, reporting, np.nan)
        chosen = [matcher(name, [value]) for name, value in labels.items()]
        resources = matcher("resource", _GPU_RESOURCES)
        # Pods that found no node hold no GPU.
        requests = f'{_GPU_REQUESTS}{{{",".join([*chosen, resources])},node!=""}}'
        counted = self._ask(self._over_minutes("count_over_time", f"sum({requests})"))
        gpus = self._ask(self._over_minutes("avg_over_time", f"sum({requests})"))
        told = np.nan_to_num(counted) >= _KNOWN * self._period.slot_s / _MINUTE_S
        return np.where(told, gpus / self._scraped.gpus_per_replica, np.nan)

    def _met(self) -> tuple[Slots, list[str]]:
        """1 where every objective was measured to hold, 0 where one was measured not to, else NaN."""
        values, notes = [], []
        for objective in self._scraped.objectives:
            value = self._measured(objective)
            if value is None:
                notes.append(f"{as_written(objective)}: the engine has no metric of it; it is judged by the model")
                value = np.full(self._period.slots, np.nan)
            values.append(np.where(np.isnan(value), np.nan, (value <= objective.limit_s).astype(float)))
        table = np.array(values)
        return np.where((table == 0.0).any(axis=0), 0.0, np.where(np.isnan(table).any(axis=0), np.nan, 1.0)), notes

    def _measured(self, objective: Objective) -> Slots | None:
        """The objective's value in each slot, seconds; None where no metric tells it."""
        metric: Metric | None = getattr(self._metrics, objective.metric)
        if metric is not None:
            if objective.quantile is None:
                return self._growth(metric, "_sum") / self._growth(metric, "_count") * metric.to_si
            form = f"histogram_quantile({objective.quantile:.6g}, sum by (le) (increase({{}}[{{slot}}])))"
            return self._ask(self._by_name(metric, form, "_bucket")) * metric.to_si
        total: Metric | None = getattr(self._metrics, f"{objective.metric}_sum", None)
        if total is None or objective.quantile is not None:
            return None
        return self._growth(total) / self._growth(self._metrics.succeeded) * total.to_si


def selector_text(labels: Mapping[str, str]) -> str:
    """Labels as a person writes them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
