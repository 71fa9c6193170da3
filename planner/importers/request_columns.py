"""Columns of single requests beside a run's summary, as vLLM and SGLang save them on demand."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.importers.benchmark_run import Array, RequestTable
from planner.importers.fields import IMPOSSIBLE, Fields

NUMBERS = ("input_lens", "output_lens", "ttfts", "latencies", "start_times")
"""Tokens, tokens, and seconds. A request that failed has zeros."""
GAPS, ERRORS = "itls", "errors"
COLUMNS = frozenset(f"{name}.item" for name in (*NUMBERS, GAPS, ERRORS))
"""Where they stand, as `json_stream` writes it."""


@dataclass
class RequestColumns:
    """Grows by a value at a time, so that only numbers are in memory, whatever else a file holds."""

    numbers: dict[str, array[float]] = field(default_factory=dict)
    gaps: list[Array] = field(default_factory=list)
    """Of each request, seconds."""
    failed: list[bool] = field(default_factory=list)

    def add(self, prefix: str, value: Any, where: str) -> None:
        """One value of a column. The text of an error is not kept."""
        name = prefix.removesuffix(".item")
        if name == ERRORS:
            self.failed.append(bool(value))
        elif name == GAPS:
            self.gaps.append(_gaps(value, f"{where}[{len(self.gaps)}]"))
        else:
            column = self.numbers.setdefault(name, array("d"))
            column.append(_number(value, f"{where}[{len(column)}]"))

    @property
    def have_latencies(self) -> bool:
        """Whether there is a TTFT and the lengths of each request."""
        return {"input_lens", "output_lens", "ttfts"} <= self.numbers.keys() and bool(self.gaps)

    def lengths(self) -> tuple[Array, Array] | None:
        """Prompts and answers of the requests that succeeded, where they were kept."""
        if not {"input_lens", "output_lens"} <= self.numbers.keys():
            return None
        prompt, output = (np.array(self.numbers[name]) for name in ("input_lens", "output_lens"))
        return (prompt[output > 0.0], output[output > 0.0]) if prompt.size == output.size else None

    def table(self, fields: Fields) -> tuple[RequestTable, Array]:
        """The requests that succeeded, and when those that failed were sent (none where it was not kept)."""
        sizes = {name: len(column) for name, column in self.numbers.items()} | {GAPS: len(self.gaps)}
        if self.failed:
            sizes[ERRORS] = len(self.failed)
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise InvalidInput(
                f"{fields.place}: lists of requests differ in length ({told})", remedy="is the file whole?"
            )
        columns = {name: np.array(column) for name, column in self.numbers.items()}
        good = (columns["output_lens"] > 0.0) & (columns["ttfts"] > 0.0)
        if self.failed:
            good &= ~np.array(self.failed)
        start = columns.get("start_times")
        table = RequestTable(
            input_tokens=columns["input_lens"][good],
            output_tokens=columns["output_lens"][good],
            ttft_s=columns["ttfts"][good],
            e2e_s=self._e2e_s(columns)[good],
            start_s=None if start is None else start[good],
            gaps_s=np.concatenate([np.zeros(0), *(each for each, kept in zip(self.gaps, good, strict=True) if kept)]),
        )
        return table, np.zeros(0) if start is None else start[~good]

    def _e2e_s(self, columns: Mapping[str, Array]) -> Array:
        """From sending to the last token."""
        whole = columns.get("latencies")
        return columns["ttfts"] + np.array([each.sum() for each in self.gaps]) if whole is None else whole


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidInput(f"{where}: a finite number is expected", remedy="is the file whole? run the benchmark again")
    return float(value)


def _gaps(value: Any, where: str) -> Array:
    try:
        found = np.array(value if isinstance(value, list) else [None], dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = np.array([math.nan])
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InvalidInput(f"{where}: a list of finite numbers is expected", remedy="run the benchmark again")
    if (found < 0.0).any():
        raise InvalidInput(f"{where}: a gap between tokens is negative", remedy=IMPOSSIBLE)
    return found
