"""The profile's speed held against what is measured now, and put right within limits."""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST, FASTEST = 1.5, 0.75
"""Bounds of the factor on step times: beyond them the profile is of another engine, and is not stretched to fit."""
NOTABLE, CALM = 0.15, 0.1
"""A difference worth telling of; and the one below which it is over, so that noise does not tell of it again."""
_STEP = 0.03
"""Of the factor: with smaller ones every look would be sized anew."""
_WEIGHT = 0.3
"""Of a new measurement, against those before: each is of a window of its own."""
_WILDEST = 4.0
"""One look tells of no more than this, as where a model just stands before its own saturation."""


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Measured over predicted time of one look; None where nothing could be compared."""

    gaps: float | None = None
    """Of ITL; of e2e where an engine makes no tokens."""
    first_token: float | None = None

    @property
    def measured(self) -> bool:
        """Whether anything was."""
        return self.gaps is not None or self.first_token is not None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Measured over predicted time."""

    measured: float
    """Smoothed, without limits: of gaps or of first tokens, whichever is slower."""
    gaps: float | None = None
    first_token: float | None = None
    before: float = 1.0
    """The factor that was applied at the look before."""

    @property
    def applied(self) -> float:
        """What step times are multiplied by. Within what is notable the profile stands as it is."""
        if abs(self.measured - 1.0) < self._bound:
            return 1.0
        bounded = min(SLOWEST, max(FASTEST, self.measured))
        return self.before if self.before != 1.0 and abs(bounded - self.before) <= _STEP else round(bounded, 2)

    @property
    def fresh(self) -> bool:
        """Whether the profile still tells the truth, of gaps and of first tokens."""
        parts = (self.measured, self.gaps, self.first_token)
        return all(abs(part - 1.0) < self._bound for part in parts if part is not None)

    @property
    def beyond_limits(self) -> bool:
        """Whether the limits do not reach what is measured."""
        return not FASTEST <= self.measured <= SLOWEST

    @property
    def told(self) -> str:
        """By how much, in words."""
        if self.gaps is None or self.first_token is None:
            return f"measured times are {self.measured:.2f} of the profile's"
        return f"measured ITL is {self.gaps:.2f} of the profile's, TTFT {self.first_token:.2f}"

    @property
    def _bound(self) -> float:
        return NOTABLE if self.before == 1.0 else CALM


def updated(gaps: float | None, first_token: float | None, found: Ratios, *, before: float = 1.0) -> Drift:
    """The drift with one more look; `gaps` and `first_token` are those before it, None where never measured.

    The slower of the two is planned with. Gaps alone do not show prompts that take longer, first tokens alone do not
    show slow gaps, and where one is faster and the other is not, nothing is faster.
    """
    gaps, first_token = _smoothed(gaps, found.gaps), _smoothed(first_token, found.first_token)
    known = [part for part in (gaps, first_token) if part is not None]
    return Drift(measured=max(known, default=1.0), gaps=gaps, first_token=first_token, before=before)


def _smoothed(past: float | None, ratio: float | None) -> float | None:
    if ratio is None:
        return past
    start = 1.0 if past is None else past
    return start + _WEIGHT * (min(_WILDEST, ratio) - start)
