"""What can go wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping


class ReplicastError(Exception):
    """A failure that a user can act on.

    `str(error)` says what is wrong and where; `remedy` says what to do, and may be empty.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class InvalidInput(ReplicastError, ValueError):
    """An input that means nothing: negative, not finite, unknown, contradictory or out of bounds."""


class NoFeasiblePlan(ReplicastError):
    """The question is well posed and has no answer: no number of replicas meets every objective.

    `predicted` holds what comes nearest, by objective, in seconds, where that is known.
    """

    def __init__(self, message: str, *, remedy: str = "", predicted: Mapping[str, float | None] | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.predicted = dict(predicted or {})
