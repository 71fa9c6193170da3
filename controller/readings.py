"""Numbers of one target in the terms of a decision, and those that cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.answers import Values
from controller.meanings import E2E, GROWTHS, ITL, OUTPUT, PROMPT, TTFT, Meaning
from controller.snapshot import EngineReadings
from controller.trust import LAST_S

MOST_PER_S = 1e5
"""Requests a second and pod: beyond it a number is a mistake."""
MOST_INSIDE = 1e7
"""Requests that run or wait, for each pod."""
MOST_KV = 1.5
"""vLLM has shown a little more than 1."""
MOST = 1e15
"""Of anything else, such as a sum of tokens a second."""
LEAST_TOKENS = 0.99
"""Of a mean, each request having one at least: sum and count are rates that are extrapolated each by itself."""
_MOST_MEAN = {PROMPT: 1e8, OUTPUT: 1e8, TTFT: 86_400.0, ITL: 86_400.0, E2E: 864_000.0}
_MOST_OF_A_POD = {
    **dict.fromkeys((Meaning.SUCCEEDED, Meaning.FAILED, Meaning.REJECTED), MOST_PER_S),
    **dict.fromkeys((Meaning.RUNNING, Meaning.WAITING, *GROWTHS), MOST_INSIDE),
}
_MOST_OF_ALL = {
    Meaning.KV_USAGE: MOST_KV,
    Meaning.ARRIVED: 1e8,
    **dict.fromkeys((Meaning.PODS, Meaning.INSTANCES), 1e6),
    **dict.fromkeys((Meaning.NEWEST, Meaning.OLDEST), LAST_S),
}


def pods_of(values: Values) -> int:
    """Pods that report."""
    counted = values.get(Meaning.PODS, 0.0) + values.get(Meaning.INSTANCES, 0.0)
    return round(counted) if 0.0 <= counted <= 2.0 * _MOST_OF_ALL[Meaning.PODS] else 0


def contradictions(values: Values, *, pods: int) -> Iterator[str]:
    """What cannot be: not numbers, negative ones, more than any engine does."""
    for meaning, value in values.items():
        if not math.isfinite(value):
            yield f"{_said(meaning)} is {'not a number' if math.isnan(value) else 'endless'}"
        elif value < 0.0 and meaning not in GROWTHS:
            yield f"{_said(meaning)} is negative ({value:g})"
        elif abs(value) > _most(meaning, pods):
            yield f"{_said(meaning)} is {value:g}{f' of {pods} pods' if meaning in _MOST_OF_A_POD else ''}"
    for pair, most in _MOST_MEAN.items():
        mean = mean_of(values, pair)
        named = _said(pair[0]).removesuffix(" sum")
        if mean is not None and mean > most:
            yield f"the mean of {named} is {mean:g}"
        elif mean is not None and pair in (PROMPT, OUTPUT) and mean < LEAST_TOKENS:
            yield f"the mean of {named} of the requests that ended is {mean:g}: each has one at least"


def _most(meaning: Meaning, pods: int) -> float:
    each = _MOST_OF_A_POD.get(meaning)
    return _MOST_OF_ALL.get(meaning, MOST) if each is None else each * max(pods, 1)


def mean_of(values: Values, pair: tuple[Meaning, Meaning]) -> float | None:
    """Sum over count; None where nothing ended in the window, or nothing counts it."""
    total, count = values.get(pair[0]), values.get(pair[1])
    if total is None or count is None or not count > 0.0 or not math.isfinite(total):
        return None
    mean = total / count
    return mean if math.isfinite(mean) else MOST


def engine_readings(values: Values, *, window_s: float, at_s: float, arrived_per_s: float | None) -> EngineReadings:
    """What the target's engines say, and the counter before them; `at_s` stands in for times that none has."""
    resets = values.get(Meaning.RESETS, 0.0)
    growth = values.get(Meaning.RUNNING_GROWTH, 0.0) + values.get(Meaning.WAITING_GROWTH, 0.0)
    return EngineReadings(
        window_s=window_s,
        newest_s=values.get(Meaning.NEWEST, at_s),
        oldest_s=values.get(Meaning.OLDEST, at_s),
        pods=pods_of(values),
        resets=resets,
        succeeded_per_s=values.get(Meaning.SUCCEEDED),
        failed_per_s=values.get(Meaning.FAILED, 0.0),
        rejected_per_s=values.get(Meaning.REJECTED, 0.0),
        arrived_per_s=arrived_per_s,
        running=values.get(Meaning.RUNNING),
        waiting=values.get(Meaning.WAITING),
        # The requests that a restarted pod lost are no fall of the load.
        growth_per_s=max(0.0, growth) if resets else growth,
        prompt_tokens=mean_of(values, PROMPT),
        output_tokens=mean_of(values, OUTPUT),
        ttft_s=mean_of(values, TTFT),
        itl_s=mean_of(values, ITL),
        e2e_s=mean_of(values, E2E),
        kv_usage=values.get(Meaning.KV_USAGE),
    )


def _said(meaning: Meaning) -> str:
    if meaning is Meaning.KV_USAGE:
        return "the share of KV memory in use"
    return meaning.value.replace("_", " ")
