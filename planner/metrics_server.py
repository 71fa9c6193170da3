"""What a server that keeps metrics is asked for: a query's value at the edges of consecutive windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from models.errors import InvalidInput

MAX_WINDOWS = 500
MIN_WINDOW_S = 5


@dataclass(frozen=True, kw_only=True)
class Series:
    """One time series as a server answers: values by time, seconds since 1970."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class MetricsServer(Protocol):
    """What answers PromQL."""

    @property
    def address(self) -> str:
        """Where it is, without credentials."""
        ...

    def range(self, query: str, *, start_s: int, end_s: int, step_s: int) -> list[Series]:
        """The query's value at start, start + step … end. Raises InvalidInput where the server does not answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Span:
    """Consecutive windows, whole seconds since 1970."""

    end_s: int
    window_s: int
    windows: int

    def __post_init__(self) -> None:
        if self.window_s < MIN_WINDOW_S:
            raise InvalidInput(
                f"a window of {self.window_s} s is too short",
                remedy=f"at least {MIN_WINDOW_S} s, and several scrapes: --window 5m",
            )
        if not 1 <= self.windows <= MAX_WINDOWS:
            raise InvalidInput(
                f"the history makes {self.windows} windows of {self.window_s} s",
                remedy=f"choose --last and --window so that there are between 1 and {MAX_WINDOWS}",
            )
        if self.start_s < 0:
            raise InvalidInput("the history begins before 1970", remedy="choose a shorter --last")

    @property
    def start_s(self) -> int:
        """Where the first begins."""
        return self.end_s - self.windows * self.window_s

    def index(self, time_s: float) -> int:
        """Which edge a time is."""
        return round((time_s - self.start_s) / self.window_s)
