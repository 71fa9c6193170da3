"""The live view: drawn in place on a terminal, else one line every few seconds and one for each decision that moves."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from planner.units import format_number, format_seconds
from scripts.cluster_demo.decisions import Decisions, told
from scripts.cluster_demo.record import Record
from scripts.cluster_demo.timing import CURVE_S, Timing

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 50
_SHOWN_DECISIONS = 10
_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"


class View(Protocol):
    """Shows how things stand."""

    def show(self, share: float, records: Sequence[Record], decisions: Decisions) -> None: ...

    def close(self) -> None: ...


def view(timing: Timing) -> View:
    """The one that fits where the output goes."""
    return Picture(timing) if sys.stdout.isatty() else Lines(timing)


@dataclass
class Lines:
    """For logs."""

    timing: Timing
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _next_s: float = 0.0

    def show(self, share: float, records: Sequence[Record], decisions: Decisions) -> None:
        """Decisions that move at once, the state from time to time."""
        for entry in decisions.new:
            if entry.written or entry.error:
                print(f"  decided {told(entry.decision)}", file=self.out, flush=True)
        now_s = share * self.timing.seconds
        if now_s >= self._next_s:
            self._next_s = now_s + self.timing.line_every_s
            states = "  |  ".join(_state(record) for record in records)
            print(f"{_clock(share)}  {states}", file=self.out, flush=True)

    def close(self) -> None:
        """Nothing is left open."""


@dataclass
class Picture:
    """For terminals."""

    timing: Timing
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _drawn: int = 0

    def show(self, share: float, records: Sequence[Record], decisions: Decisions) -> None:
        """Over what was drawn before."""
        size = shutil.get_terminal_size()
        lines = [_clip(line, size.columns) for line in self._lines(share, records, decisions)][: size.lines - 1]
        up = f"\x1b[{self._drawn}F" if self._drawn else "\x1b[?25l"
        self.out.write(up + "".join(f"{line}{_PLAIN}\x1b[K\n" for line in lines) + "\x1b[J")
        self.out.flush()
        self._drawn = len(lines)

    def close(self) -> None:
        """The cursor is there again."""
        self.out.write("\x1b[?25h")
        self.out.flush()

    def _lines(self, share: float, records: Sequence[Record], decisions: Decisions) -> list[str]:
        filled = round(_COLUMNS * share)
        bar, speed = "█" * filled + "░" * (_COLUMNS - filled), self.timing.speed
        lines = [f"{_BOLD}Load {_clock(share)} of 10:00{_PLAIN} {bar} {speed:.1f} times as fast"]
        for record in records:
            lines += ["", *self._block(record, decisions.latest(record.model.name))]
        counts = f"{len(decisions.entries)} logged, {len(decisions.written)} written to the cluster; UTC"
        moved = [told(entry.decision) for entry in decisions.written[-_SHOWN_DECISIONS:]]
        return [*lines, "", f"{_BOLD}Decisions{_PLAIN} {counts}", *moved, *[""] * (_SHOWN_DECISIONS - len(moved))]

    def _block(self, record: Record, latest: str) -> list[str]:
        look, model = record.looks[-1], record.model
        breached = look.latency_s is not None and look.latency_s > model.limit_s
        measured = "-" if look.latency_s is None else format_seconds(look.latency_s)
        demand = f"{_number(look.arriving_per_s)} requests/s, planned for {_number(look.planned_per_s)}"
        needed = "-" if look.needed is None else f"{look.needed:.0f}"
        replicas = f"{look.asked} asked, {look.ready} ready, {needed} needed"
        against = f"of {format_seconds(model.limit_s)}; broken for {record.breached_s:.0f} s so far"
        shares = [each.at_s / self.timing.seconds for each in record.looks]
        return [
            f"{_BOLD}{model.name}{_PLAIN} ({model.engine})",
            f"  demand    {demand:<40} {_bars(shares, [each.arriving_per_s for each in record.looks])}",
            f"  replicas  {replicas:<40} {_bars(shares, [float(each.ready) for each in record.looks])}",
            f"  {model.watched:<9} {_RED if breached else _GREEN}{measured}{_PLAIN} {against}",
            f"  latest    {latest}",
        ]


def _state(record: Record) -> str:
    look, model = record.looks[-1], record.model
    measured = "-" if look.latency_s is None else format_seconds(look.latency_s)
    broken = " BROKEN" if look.latency_s is not None and look.latency_s > model.limit_s else ""
    return (
        f"{model.name}: {_number(look.arriving_per_s)} requests/s, {look.asked} asked, {look.ready} ready, "
        f"{model.watched} {measured} of {format_seconds(model.limit_s)}{broken}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else format_number(round(value, 1))


def _clock(share: float) -> str:
    seconds = round(min(share, 1.0) * CURVE_S)
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _bars(shares: Sequence[float], values: Sequence[float]) -> str:
    """A row as wide as the whole load: the most in each column so far, from zero to the most of all."""
    columns = [0.0] * _COLUMNS
    for share, value in zip(shares, values, strict=True):
        column = min(_COLUMNS - 1, int(share * _COLUMNS))
        columns[column] = max(columns[column], value)
    most = max(columns) or 1.0
    return "".join(_BARS[math.ceil((len(_BARS) - 1) * value / most)] for value in columns)


def _clip(line: str, columns: int) -> str:
    """No longer than the terminal is wide; escapes take no room."""
    shown, index = 0, 0
    while index < len(line):
        if line[index] == "\x1b":
            index = line.index("m", index) + 1
            continue
        shown += 1
        if shown >= columns:
            return line[:index] + "…"
        index += 1
    return line
