"""Objectives as people write them: `ttft:p99<=200ms`, `e2e:mean<=5s`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.errors import InvalidInput
from models.objective import METRICS, Objective
from planner.units import parse_seconds

_FORM = re.compile(r"^\s*([a-z0-9]+)\s*:\s*(mean|p[0-9]{1,2}(?:\.[0-9]{1,6})?)\s*(<=|≤|<)\s*(\S+)\s*$")
_REMEDY = "write metric:statistic<=limit, for example 'ttft:p99<=200ms', 'itl:p95<=50ms' or 'e2e:mean<=5s'"


def parse_objective(text: str) -> Objective:
    """One objective. Raises InvalidInput with the form to use."""
    match = _FORM.match(text)
    if match is None:
        raise InvalidInput(f"objective {text[:80]!r} is not understood", remedy=_REMEDY)
    metric, statistic, _, limit = match.groups()
    if metric not in METRICS:
        raise InvalidInput(
            f"objective {text!r}: unknown metric {metric!r}", remedy=f"use one of {', '.join(METRICS)}; {_REMEDY}"
        )
    quantile = None if statistic == "mean" else float(statistic[1:]) / 100.0
    if quantile is not None and not 0.0 < quantile < 1.0:
        raise InvalidInput(f"objective {text!r}: {statistic} is not a percentile between 0 and 100", remedy=_REMEDY)
    seconds = parse_seconds(limit, what=f"objective {text!r}")
    if seconds <= 0.0:
        raise InvalidInput(f"objective {text!r}: the limit must be above 0", remedy=_REMEDY)
    return Objective(metric=metric, quantile=quantile, limit_s=seconds)


def parse_objectives(texts: Sequence[str]) -> tuple[Objective, ...]:
    """All objectives; the same statistic twice is refused, since one of the two limits would be silently idle."""
    objectives = tuple(parse_objective(text) for text in texts)
    seen: dict[tuple[str, float | None], Objective] = {}
    for objective in objectives:
        key = (objective.metric, objective.quantile)
        if key in seen and seen[key].limit_s != objective.limit_s:
            raise InvalidInput(
                f"objectives {seen[key]} and {objective} limit the same statistic twice", remedy="keep the tighter one"
            )
        seen[key] = objective
    return tuple(seen.values())
