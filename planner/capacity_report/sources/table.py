"""History out of a CSV file: one row a time, a column for each figure that is known."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from planner.capacity_report.history import COLUMNS, History, Slots
from planner.capacity_report.period import Period
from planner.capacity_report.sources.file_digest import named

MAX_ROWS = 20_000_000
_SUMMED = ("requests", "input_tokens", "output_tokens")
_REMEDY = "times as 2026-10-01T00:00:00+02:00, numbers of 0 or more, `met` 0 or 1, nothing for what is not known"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Of one service: lines of the file, times, and a column for each figure."""

    lines: NDArray[np.int64]
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    """A row for each of COLUMNS; NaN for an empty cell."""


def table_history(path: Path, period: Period, *, service: str) -> History:
    """Of one service; a file with a column `service` may tell of several.

    A row holds from its time to the next row's. Rows may be finer than slots: requests and tokens are added up,
    replicas averaged, and `met` is 0 where any row's is; a slot with a missing row is not known. Raises InvalidInput
    that names the line, and for rows that are coarser than slots.
    """
    by_service, named = _read(path)
    rows = by_service.get(service if named else "")
    if rows is None:
        raise InvalidInput(
            f"history {path} has no rows of {service!r}",
            remedy=f"it has {', '.join(sorted(by_service)[:10]) or 'no rows'}: name the workload so, or mend the file",
        )
    spacing_s = _spacing(path, rows, period, service)
    within = (rows.times_s >= period.start_s) & (rows.times_s < period.end_s)
    at = ((rows.times_s[within] - period.start_s) // period.slot_s).astype(int)
    per_slot = round(period.slot_s / spacing_s)
    arrays: dict[str, Any] = {
        name: _slots(at, values[within], period, per_slot, name)
        for name, values in zip(COLUMNS, rows.values, strict=True)
    }
    outside = int(np.count_nonzero(~within))
    told = f"{_named(path)}: {len(at):,} rows, {spacing_s / 60:g} minutes apart"
    return History(**arrays, sources=(told + (f"; {outside:,} more lie outside the period" if outside else ""),))


def _slots(at: NDArray[np.int64], values: Slots, period: Period, per_slot: int, name: str) -> Slots:
    known = ~np.isnan(values)
    counted = np.bincount(at[known], minlength=period.slots)
    sums: Slots = np.bincount(at[known], weights=values[known], minlength=period.slots).astype(float)
    if name == "met":
        sums = (sums >= counted).astype(float)
    elif name not in _SUMMED:
        sums = sums / np.maximum(counted, 1)
    return np.where(counted >= per_slot, sums, np.nan)


def _spacing(path: Path, rows: _Rows, period: Period, service: str) -> float:
    """Seconds between rows: what most of them keep. Raises InvalidInput for rows that do not fall into slots."""
    gaps = np.diff(rows.times_s)
    if not len(gaps):
        return float(period.slot_s)
    early = int(np.argmin(gaps))
    if gaps[early] <= 0.0:
        raise InvalidInput(
            f"history {path}, line {rows.lines[early + 1]}: its time is not after that of line {rows.lines[early]}",
            remedy="each time once, in order; times of a repeated hour need their offset, such as +01:00",
        )
    lengths, counts = np.unique(gaps, return_counts=True)
    spacing_s = float(lengths[np.argmax(counts)])
    if period.slot_s % spacing_s:
        raise InvalidInput(
            f"history {path}: rows of {service!r} are {spacing_s / 60:g} minutes apart, slots {period.slot_s / 60:g}",
            remedy="take a --resolution that is a multiple, or a finer history",
        )
    astray = np.flatnonzero((rows.times_s - period.start_s) % spacing_s)
    if len(astray):
        raise InvalidInput(
            f"history {path}, line {rows.lines[astray[0]]}: its time does not fall on the {spacing_s / 60:g} minutes "
            f"that rows are apart, counted from the beginning of the period in {period.time_zone}",
            remedy="let every row begin with its slot; half-hour time zones need rows of 30 minutes",
        )
    return spacing_s


def forget_tables() -> None:
    """Drop what is kept of files that have been read, as it may be large."""
    _read.cache_clear()
    _named.cache_clear()


_named = lru_cache(maxsize=16)(named)


@lru_cache(maxsize=16)
def _read(path: Path) -> tuple[dict[str, _Rows], bool]:
    lines: dict[str, array[int]] = {}
    numbers: dict[str, array[float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _require_columns(path, header)
            for name, line, row in _parsed(path, reader, header):
                lines.setdefault(name, array("q")).append(line)
                numbers.setdefault(name, array("d")).extend(row)
    except FileNotFoundError:
        raise InvalidInput(f"history {path} does not exist", remedy="check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"history {path} cannot be read: {error}", remedy="is it a CSV file?") from None
    found = {}
    for name, flat in numbers.items():
        table = np.frombuffer(flat, dtype=float).reshape(-1, 1 + len(COLUMNS))
        found[name] = _Rows(
            lines=np.frombuffer(lines[name], dtype=np.int64), times_s=table[:, 0], values=table[:, 1:].T
        )
    return found, "service" in header


def _require_columns(path: Path, header: list[str]) -> None:
    known = {"time", "service", *COLUMNS}
    if "time" not in header or not set(header) & set(COLUMNS) or set(header) - known or len(set(header)) < len(header):
        raise InvalidInput(
            f"history {path} begins with {','.join(header)[:100]!r}",
            remedy=f"the first line must name `time` and any of {', '.join(COLUMNS)}, perhaps `service`, each once",
        )


def _parsed(path: Path, reader: Any, header: list[str]) -> Iterator[tuple[str, int, list[float]]]:
    """Service, line, and the time with a value for each of COLUMNS."""
    at_time, at_name = header.index("time"), header.index("service") if "service" in header else None
    places = [header.index(name) if name in header else None for name in COLUMNS]
    for count, cells in enumerate(reader, start=1):
        if count > MAX_ROWS:
            raise InvalidInput(f"history {path} has more than {MAX_ROWS:,} rows", remedy="split it")
        if not cells:
            continue
        try:
            row = [_time(cells[at_time])]
            for name, place in zip(COLUMNS, places, strict=True):
                row.append(math.nan if place is None else _number(cells[place], name))
            yield "" if at_name is None else cells[at_name], reader.line_num, row
        except (ValueError, IndexError) as error:
            raise InvalidInput(f"history {path}, line {reader.line_num}: {error}", remedy=_REMEDY) from None


def _time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.timestamp()


def _number(text: str, name: str) -> float:
    if not text or text.isspace():
        return math.nan
    value = float(text)
    if not 0.0 <= value <= 1e15 or (name == "met" and value not in (0.0, 1.0)):
        raise ValueError(f"{name} of {text[:40]!r}")
    return value
