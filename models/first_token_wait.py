"""What comes before a first token and is in no step: client, HTTP, tokenising, and the others of a closed loop.

Users of a closed loop begin together and their prompts keep meeting: a first token waits for prompts of others more
often than in an open stream of the same rate. How much is a matter of how the benchmark was run (ramp-up, requests a
user), not of the engine; so it is estimated beside the step time, told apart from it, and left out of what open
arrivals are predicted to feel. For `n` users of prompts of `P` tokens,

    wait = overhead + crowd · √(n−1) · P + cohort · (n−1) · P

the square root for prompts that meet by chance (the spread of a binomial count), the line for those that began
together and never part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.measurement import Measurement

Array = NDArray[np.float64]

_HUBER = 0.1
"""Relative error beyond which a TTFT is weighed down: it waited for something else, such as a place."""
_ROUNDS = 8
_OVERHEAD_S = 1.0
"""Loose bound on the overhead, standing in where points do not tell the terms apart."""
_OF_A_PROMPT = 4.0
"""Loose bound on either wait, in times of one other prompt."""


@dataclass(frozen=True, kw_only=True)
class FirstTokenWait:
    """Seconds before a first token outside the engine's steps; per prompt token for the two waits of closed loops."""

    overhead_s: float = 0.0
    crowd_s: float = 0.0
    cohort_s: float = 0.0

    def seconds(self, point: Measurement) -> float:
        """The wait at a load; an open one has the overhead alone."""
        return float(_row(point) @ np.array([self.overhead_s, self.crowd_s, self.cohort_s]))


NO_WAIT = FirstTokenWait()


def _row(point: Measurement) -> Array:
    others = 0.0 if point.concurrency is None else point.concurrency - 1.0
    return np.array([1.0, np.sqrt(others) * point.input_tokens, others * point.input_tokens])


def wait_beyond(points: Sequence[Measurement], engine_s: Sequence[float], *, prompt_token_s: float) -> FirstTokenWait:
    """The wait that the measured TTFT of `points` leaves beyond what the engine alone takes, `engine_s`.

    Non-negative, robust least squares of relative errors. `prompt_token_s`, the time of a prompt token, sets the scale
    of loose bounds for points that do not tell the terms apart. No points, no wait.
    """
    from scipy.optimize import nnls

    if not points:
        return NO_WAIT
    seen = np.array([point.ttft_s for point in points], dtype=float)
    rows = np.array([_row(point) for point in points]) / seen[:, None]
    left = 1.0 - np.asarray(engine_s, dtype=float) / seen
    bounds = np.diag(_HUBER / np.array([_OVERHEAD_S, _OF_A_PROMPT * prompt_token_s, _OF_A_PROMPT * prompt_token_s]))
    weights, terms = np.ones(len(seen)), np.zeros(3)
    for _ in range(_ROUNDS):
        matrix = np.vstack([rows * weights[:, None], bounds])
        scale = np.linalg.norm(matrix, axis=0)
        terms = nnls(matrix / scale, np.concatenate([left * weights, np.zeros(3)]))[0] / scale
        weights = np.sqrt(np.minimum(1.0, _HUBER / np.maximum(np.abs(rows @ terms - left), 1e-12)))
    return FirstTokenWait(overhead_s=float(terms[0]), crowd_s=float(terms[1]), cohort_s=float(terms[2]))
