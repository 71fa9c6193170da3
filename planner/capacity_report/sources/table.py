"""History out of a CSV file: one row a time, a column for each figure that is known."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.capacity_report.history import COLUMNS, History, Slots
from planner.capacity_report.period import Period

MAX_ROWS = 5_000_000
_SUMMED = ("requests", "input_tokens", "output_tokens")


@dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    time_s: float
    values: tuple[float, ...]
    """In the order of COLUMNS; NaN for an empty cell."""


def table_history(path: Path, period: Period, *, service: str) -> History:
    """Of one service; a file with a column `service` may tell of several.

    A row holds from its time to the next row's. Rows may be finer than slots: requests and tokens are added up,
    replicas averaged, and `met` is 0 where any row's is; a slot with a missing row is not known. Raises InvalidInput
    that names the line, and for rows that are coarser than slots.
    """
    by_service, named = _rows(path)
    rows = by_service.get(service if named else "", ())
    if not rows:
        raise InvalidInput(
            f"history {path} has no rows of {service!r}",
            remedy=f"it has {', '.join(sorted(by_service)[:10]) or 'no rows'}: name the workload so, or mend the file",
        )
    spacing_s = _spacing(path, rows)
    if spacing_s > period.slot_s:
        raise InvalidInput(
            f"history {path}: rows of {service!r} are {spacing_s / 60:g} minutes apart, slots {period.slot_s / 60:g}",
            remedy="take a coarser --resolution, or a finer history",
        )
    per_slot = round(period.slot_s / spacing_s)
    within = [row for row in rows if period.start_s <= row.time_s < period.end_s]
    arrays: dict[str, Any] = {name: _slots(period, within, index, per_slot, name) for index, name in enumerate(COLUMNS)}
    outside = len(rows) - len(within)
    told = f"{path.name}: {len(within):,} rows, {spacing_s / 60:g} minutes apart"
    return History(**arrays, sources=(told + (f"; {outside:,} more lie outside the period" if outside else ""),))


def _slots(period: Period, rows: list[_Row], index: int, per_slot: int, name: str) -> Slots:
    at = np.array([period.slot_of(row.time_s) for row in rows], dtype=int)
    values = np.array([row.values[index] for row in rows], dtype=float)
    known = ~np.isnan(values)
    counted = np.bincount(at[known], minlength=period.slots)
    sums: Slots = np.bincount(at[known], weights=values[known], minlength=period.slots).astype(float)
    if name == "met":
        sums = (sums >= counted).astype(float)
    elif name not in _SUMMED:
        sums = sums / np.maximum(counted, 1)
    return np.where(counted >= per_slot, sums, np.nan)


def _spacing(path: Path, rows: tuple[_Row, ...]) -> float:
    """Seconds between rows: the shortest there are, of which all must be multiples."""
    if len(rows) == 1:
        return 300.0
    gaps = np.diff([row.time_s for row in rows])
    early = int(np.argmin(gaps))
    if gaps[early] <= 0.0:
        raise InvalidInput(
            f"history {path}, line {rows[early + 1].line}: its time is not after that of line {rows[early].line}",
            remedy="each time once, in order; times of a repeated hour need their offset, such as +01:00",
        )
    return float(gaps[early])


@lru_cache(maxsize=16)
def _rows(path: Path) -> tuple[dict[str, tuple[_Row, ...]], bool]:
    found: dict[str, list[_Row]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = tuple(reader.fieldnames or ())
            _require_columns(path, header)
            for name, row in _parsed(path, reader):
                found.setdefault(name, []).append(row)
    except FileNotFoundError:
        raise InvalidInput(f"history {path} does not exist", remedy="check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"history {path} cannot be read: {error}", remedy="is it a CSV file?") from None
    return {name: tuple(rows) for name, rows in found.items()}, "service" in header


def _require_columns(path: Path, header: tuple[str, ...]) -> None:
    known = {"time", "service", *COLUMNS}
    if "time" not in header or not set(header) & set(COLUMNS) or set(header) - known:
        raise InvalidInput(
            f"history {path} begins with {','.join(header)[:100]!r}",
            remedy=f"the first line must name `time` and any of {', '.join(COLUMNS)}, perhaps `service`",
        )


def _parsed(path: Path, reader: csv.DictReader[str]) -> Iterator[tuple[str, _Row]]:
    for count, cells in enumerate(reader, start=1):
        if count > MAX_ROWS:
            raise InvalidInput(f"history {path} has more than {MAX_ROWS:,} rows", remedy="split it")
        try:
            time_s = _time(cells["time"])
            values = tuple(_number(cells.get(name), name) for name in COLUMNS)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"history {path}, line {reader.line_num}: {error}",
                remedy="times as 2026-10-01T00:00:00+02:00, numbers of 0 or more, `met` 0 or 1, nothing for not known",
            ) from None
        name = cells.get("service") or ""
        yield name, _Row(line=reader.line_num, time_s=time_s, values=values)


def _time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.timestamp()


def _number(text: str | None, name: str) -> float:
    if text is None or not text.strip():
        return math.nan
    value = float(text)
    if not 0.0 <= value <= 1e15 or (name == "met" and value not in (0.0, 1.0)):
        raise ValueError(f"{name} of {text[:40]!r}")
    return value
