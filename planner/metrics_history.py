"""Windows of an engine's metrics, replica by replica, out of a server that keeps their history.

Counters are read at the windows' edges and subtracted here, with the times of the very scrapes: PromQL's `increase`
extrapolates. What lies between the edges (means of gauges, resets, number of scrapes) the server sums up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from models.errors import InvalidInput
from models.histogram_law import BucketCounts
from planner.engine_metrics import EngineMetrics, Kind, Metric
from planner.metrics_server import MetricsServer, Series, Span
from planner.promql import selector
from planner.replica_readings import Columns, Edges, Key, Readings, add_edges, replica_key, replica_names

MAX_REPLICA_WINDOWS = 5_000
"""Replicas times windows: about 170 numbers each."""
LOOKBACK_S = 300.0
"""How old a sample a server takes for a time, by default."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What one replica did between two scrapes. Absent is None, never zero."""

    replica: str
    start_s: float
    """Time of the last scrape before the window's beginning."""
    end_s: float
    counted: Mapping[str, float] = field(default_factory=dict)
    """Growth of each counter, by its meaning in `planner.engine_metrics`, SI units."""
    failed: float = 0.0
    """Requests that ended in an error or were given up."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Mean of each gauge."""
    growth: float = 0.0
    """Requests inside at the end less those at the beginning, waiting ones included."""
    histograms: Mapping[str, BucketCounts] = field(default_factory=dict)
    scrapes: int = 0
    unreadable: str | None = None
    """Why nothing is known of it."""

    @property
    def duration_s(self) -> float:
        """From scrape to scrape."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class History:
    """All windows of all replicas, and what the engine says of its memory."""

    model: str
    windows: tuple[Window, ...]
    replicas: tuple[str, ...]
    cache_config: Mapping[str, str]

    def latest(self, meaning: str) -> float | None:
        """A gauge's mean in the last window that has it."""
        known = [(window.end_s, window.means[meaning]) for window in self.windows if meaning in window.means]
        return max(known)[1] if known else None


def read_history(server: MetricsServer, metrics: EngineMetrics, labels: Mapping[str, str], span: Span) -> History:
    """The windows of every replica that the labels choose. Raises InvalidInput where there is none, or too much."""
    return _Reader(server, metrics, labels, span).history()


class _Reader:
    """One reading: the questions and how their answers fall together."""

    def __init__(self, server: MetricsServer, metrics: EngineMetrics, labels: Mapping[str, str], span: Span) -> None:
        self._server, self._metrics, self._labels, self._span = server, metrics, labels, span

    def history(self) -> History:
        self._require_few(self._most_at_a_time())
        times = self._by_replica(f"timestamp({self._named(self._metrics.waiting)})")
        model = self._one_model(times)
        self._require_few(len(times))  # over the whole time, pods that came and went included
        names = replica_names(times)
        columns = self._columns(times)
        windows = [
            self._window(names[key], edges, columns, key, index)
            for key, edges in times.items()
            for index in range(self._span.windows)
        ]
        return History(
            model=model,
            windows=tuple(windows),
            replicas=tuple(names[key] for key in times),
            cache_config=self._cache_config(times),
        )

    def _most_at_a_time(self) -> int:
        counts = self._ask(f"count({self._named(self._metrics.waiting)})")
        if not counts:
            raise self._nothing()
        return round(max(value for series in counts for _, value in series.points))

    def _require_few(self, replicas: int) -> None:
        if replicas * self._span.windows > MAX_REPLICA_WINDOWS:
            raise InvalidInput(
                f"{replicas} replicas × {self._span.windows} windows are more than {MAX_REPLICA_WINDOWS}",
                remedy="choose fewer replicas with --match (pod, namespace), or a longer --window",
            )

    # --- questions

    def _ask(self, query: str) -> list[Series]:
        span = self._span
        return self._server.range(query, start_s=span.start_s, end_s=span.end_s, step_s=span.window_s)

    def _named(self, metric: Metric) -> str:
        return self._one_of(metric.series(), metric)

    def _over_time(self, function: str, metric: Metric, seconds: int) -> str:
        """A function of a metric under each of its names: functions drop the name, so names are joined by `or`."""
        parts = (f"{function}({self._one_of([name], metric)}[{seconds}s])" for name in metric.series())
        return " or ".join(parts)

    def _one_of(self, names: Sequence[str], metric: Metric) -> str:
        return selector(names, {**self._labels, **metric.where})

    def _by_replica(self, query: str) -> dict[Key, Edges]:
        """Answers by replica, series of the same replica added up."""
        found: dict[Key, Edges] = {}
        for series in self._ask(query):
            finite = {index: value for index, value in self._edges(series).items() if math.isfinite(value)}
            add_edges(found.setdefault(replica_key(series.labels), {}), finite)
        return found

    def _edges(self, series: Series) -> Edges:
        return {self._span.index(time): value for time, value in series.points}

    def _columns(self, times: Mapping[Key, Edges]) -> Columns:
        window = self._span.window_s
        ages = [self._span.start_s + index * window - time for edges in times.values() for index, time in edges.items()]
        # A reset between the scrape before the window and its beginning would be missed without the scrape's age.
        reach = window + math.ceil(min(max(ages, default=0.0), LOOKBACK_S))
        return Columns(
            counters={
                meaning: self._by_series(self._named(metric), metric.to_si)
                for meaning, metric in self._metrics.of(Kind.COUNTER)
            },
            gauges={meaning: self._by_replica(self._named(metric)) for meaning, metric in self._metrics.of(Kind.GAUGE)},
            means={
                meaning: self._by_replica(self._over_time("avg_over_time", metric, window))
                for meaning, metric in self._metrics.of(Kind.GAUGE)
            },
            buckets={meaning: self._buckets(metric) for meaning, metric in self._metrics.of(Kind.HISTOGRAM)},
            resets=self._by_replica(self._over_time("resets", self._metrics.succeeded, reach)),
            scrapes=self._by_replica(self._over_time("count_over_time", self._metrics.waiting, window)),
        )

    def _by_series(self, query: str, to_si: float) -> dict[Key, list[tuple[Mapping[str, str], Edges]]]:
        found: dict[Key, list[tuple[Mapping[str, str], Edges]]] = {}
        for series in self._ask(query):
            edges = {index: value * to_si for index, value in self._edges(series).items()}
            found.setdefault(replica_key(series.labels), []).append((series.labels, edges))
        return found

    def _buckets(self, metric: Metric) -> dict[Key, Readings]:
        found: dict[Key, Readings] = {}
        for name in metric.names:  # the newest name that a replica has
            answers: dict[Key, Readings] = {}
            for series in self._ask(self._one_of([f"{name}_bucket", f"{name}_sum"], metric)):
                readings = answers.setdefault(replica_key(series.labels), Readings())
                readings.add(series.labels.get("le"), self._edges(series), metric.to_si)
            found = {**answers, **found}
        return found

    def _cache_config(self, replicas: Iterable[Key]) -> Mapping[str, str]:
        if self._metrics.cache_config is None:
            return {}
        # This one carries no label of the model, so it is chosen by the labels that it shares with a replica.
        model = self._metrics.model_label
        labels = {name: value for name, value in self._labels.items() if name != model}
        known = [{name: value for name, value in key if name != model} for key in replicas]
        found = [
            series
            for series in self._ask(selector(self._metrics.cache_config.names, labels))
            if any(all(series.labels.get(name, value) == value for name, value in key.items()) for key in known)
        ]
        latest = max(found, key=lambda series: max((time for time, _ in series.points), default=0.0), default=None)
        return {} if latest is None else latest.labels

    # --- answers

    def _window(self, name: str, times: Edges, columns: Columns, key: Key, index: int) -> Window:
        start = times.get(index, math.nan)
        end = times.get(index + 1, math.nan)
        window = Window(replica=name, start_s=start, end_s=end, scrapes=int(columns.scrapes_at(key, index + 1)))
        why = self._unreadable(window, columns, key, index)
        if why is not None:
            return Window(replica=name, start_s=start, end_s=end, scrapes=window.scrapes, unreadable=why)
        counted, failed = columns.growths(key, index)
        growth = columns.inside(key, index + 1) - columns.inside(key, index)
        if not all(map(math.isfinite, (*counted.values(), failed, growth))):
            why = "a number is missing at its beginning or its end"
            return Window(replica=name, start_s=start, end_s=end, scrapes=window.scrapes, unreadable=why)
        try:
            histograms = {
                meaning: seen
                for meaning, readings in columns.buckets.items()
                if key in readings and (seen := readings[key].between(index, index + 1)) is not None
            }
        except InvalidInput as problem:
            return Window(replica=name, start_s=start, end_s=end, scrapes=window.scrapes, unreadable=str(problem))
        return Window(
            replica=name,
            start_s=start,
            end_s=end,
            counted=counted,
            failed=failed,
            means={
                meaning: found[key][index + 1]
                for meaning, found in columns.means.items()
                if key in found and index + 1 in found[key]
            },
            growth=growth,
            histograms=histograms,
            scrapes=window.scrapes,
        )

    def _unreadable(self, window: Window, columns: Columns, key: Key, index: int) -> str | None:
        if math.isnan(window.start_s) or math.isnan(window.end_s):
            return "not scraped at its beginning or its end"
        usual = columns.usual_scrapes(key)
        if window.duration_s < 0.5 * self._span.window_s or window.scrapes < 0.5 * usual:
            return "stale: scrapes are missing"
        if window.scrapes < 2:
            return "fewer than two scrapes in it"
        if columns.resets.get(key, {}).get(index + 1, 0.0) > 0.0 or columns.fell(key, index):
            return "counters were reset: the engine restarted"
        return None

    def _one_model(self, keys: Iterable[Key]) -> str:
        models = sorted({dict(key).get(self._metrics.model_label, "") for key in keys})
        if len(models) > 1:
            shown = ", ".join(models[:8])
            raise InvalidInput(
                f"{self._server.address} has {len(models)} models there: {shown}",
                remedy=f"choose one: --match {self._metrics.model_label}={models[0]}",
            )
        return models[0]

    def _nothing(self) -> InvalidInput:
        """Why there is nothing: other labels, another engine, no scrapes."""
        name, label = self._metrics.waiting.names[0], self._metrics.model_label
        span = "in that time"
        there = self._ask(f"group by ({label},namespace,job) ({selector([name], {})})") if self._labels else []
        if there:
            wanted = ", ".join(f"{name}={value}" for name, value in self._labels.items())
            places = [", ".join(f"{name}={value}" for name, value in sorted(s.labels.items())) for s in there]
            return InvalidInput(
                f"{self._server.address} has no {name} with {wanted} {span}",
                remedy=f"there is: {'; '.join(sorted(places)[:5])}. Mend --match (the model's label is {label})",
            )
        return InvalidInput(
            f"{self._server.address} has no {name} {span}: no data, which is not the same as no load",
            remedy="does it scrape the engine (look at its page Status, Targets)? Other engines: --engine; older "
            "history: --until",
        )
