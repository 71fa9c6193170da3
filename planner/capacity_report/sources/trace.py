"""Demand out of a trace of single requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from models.errors import InvalidInput
from planner.capacity_report.history import History
from planner.capacity_report.period import Period
from planner.capacity_report.sources.file_digest import named
from planner.trace import read_trace

_CHUNK = 100_000


def trace_history(path: Path, period: Period, *, start: datetime, repeat: bool = False, scale: float = 1.0) -> History:
    """Arrivals and tokens in slots. What lies before the trace, or after its last whole slot, is not known.

    A repeated trace begins anew after its last arrival. Raises InvalidInput that names the line.
    """
    begin_s = start.timestamp()
    sums = np.zeros((3, period.slots))
    length_s, count = 0.0, 0
    for arrivals, prompts, outputs in _chunks(path):
        length_s = max(length_s, float(arrivals[-1]))
        count += len(arrivals)
        if not repeat:
            _add(sums, period, begin_s + arrivals, prompts, outputs)
    if length_s <= 0.0:
        raise InvalidInput(f"trace {path} has no length: its requests all arrive at once", remedy="use a longer one")
    if repeat:
        if length_s < period.slot_s / 60.0:
            raise InvalidInput(
                f"trace {path} is {length_s:g} s long", remedy="repeat a longer one, of a minute or more"
            )
        _add_repeated(sums, path, period, begin_s, length_s)
    known = (period.edges_s[:-1] >= begin_s) & (repeat | (period.edges_s[1:] <= begin_s + length_s))
    arrays = [np.where(known, values * scale, np.nan) for values in sums]
    told = f"{named(path)}: {count:,} requests in {length_s / 3600.0:.1f} h from {start.isoformat()}"
    return replace(
        History.unknown(period),
        requests=arrays[0],
        input_tokens=arrays[1],
        output_tokens=arrays[2],
        sources=(told + (", repeated" if repeat else "") + ("" if scale == 1.0 else f", times {scale:g}"),),
    )


def _chunks(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows: list[tuple[float, float, float]] = []
    for row in read_trace(path):
        rows.append(row)
        if len(rows) == _CHUNK:
            yield _columns(rows)
            rows = []
    if rows:
        yield _columns(rows)


def _columns(rows: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(sorted(rows), dtype=float)
    return table[:, 0], table[:, 1], table[:, 2]


def _add(sums: np.ndarray, period: Period, times_s: np.ndarray, prompts: np.ndarray, outputs: np.ndarray) -> None:
    inside = (times_s >= period.start_s) & (times_s < period.end_s)
    at = ((times_s[inside] - period.start_s) // period.slot_s).astype(int)
    for row, weights in enumerate((None, prompts[inside], outputs[inside])):
        sums[row] += np.bincount(at, weights=weights, minlength=period.slots)


def _add_repeated(sums: np.ndarray, path: Path, period: Period, begin_s: float, length_s: float) -> None:
    """Over and over, from the cumulated sums of one run: a year of an hour's trace takes no longer than the hour."""
    times, steps = [np.zeros(1)], [np.zeros((3, 1))]
    for arrivals, prompts, outputs in _chunks(path):
        times.append(arrivals)
        steps.append(np.vstack([np.ones_like(arrivals), prompts, outputs]))
    order = np.argsort(at := np.concatenate(times), kind="stable")
    cumulated = np.cumsum(np.hstack(steps)[:, order], axis=1)
    rounds, rest = np.divmod(np.maximum(period.edges_s - begin_s, 0.0), length_s)
    upto = np.searchsorted(at[order], rest, side="left") - 1
    for row in range(3):
        totals = rounds * cumulated[row, -1] + np.where(upto >= 0, cumulated[row, np.maximum(upto, 0)], 0.0)
        sums[row] += np.diff(totals)
