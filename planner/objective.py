"""Objectives as people write them: `ttft:p99<=200ms`, `e2e:mean<=5s`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from models.errors import InvalidInput
from models.objective import METRICS, Objective
from planner.units import parse_seconds

_FORM = re.compile(r"\s*([^:<>=≤≥]*?)\s*:\s*([^:<>=≤≥]*?)\s*([<>=≤≥]+)\s*(.*?)\s*", re.DOTALL)
_STATISTIC = re.compile(r"mean|p[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)
_REMEDY = "write metric:statistic<=limit in quotes, for example 'ttft:p99<=200ms', 'itl:p95<=50ms' or 'e2e:mean<=5s'"


_LEAST_S, _MOST_S = 1e-6, 1e6


@dataclass(frozen=True, kw_only=True)
class WrittenObjective(Objective):
    """An objective that remembers how its limit was written, for messages to people; `str` stays in seconds."""

    limit: str = field(compare=False)

    @property
    def has_unit(self) -> bool:
        """Whether a unit was written."""
        return self.limit[-1].isalpha()


def as_written(objective: Objective) -> str:
    """`ttft:p99<=500ms` where the user wrote that, `ttft:p99<=0.5s` where nobody did."""
    if isinstance(objective, WrittenObjective):
        return f"{objective.metric}:{objective.statistic}<={objective.limit}{'' if objective.has_unit else 's'}"
    return f"{objective}s"


def unit_warnings(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """A limit without a unit is in seconds; who wrote 200 and meant milliseconds must see it."""
    bare = [each for each in objectives if isinstance(each, WrittenObjective) and not each.has_unit]
    return tuple(
        f"the limit of {each.metric}:{each.statistic} is written without a unit and taken as {each.limit} seconds"
        for each in bare
    )


def parse_objective(text: str) -> Objective:
    """One objective. Raises InvalidInput with the form to use."""
    what = f"objective {text[:80]!r}"
    match = _FORM.fullmatch(text)
    if "," in text and len(re.findall(r"<=?|≤", text)) > 1:
        raise InvalidInput(f"{what} is more than one", remedy="write each in an --slo, or a list item, of its own")
    if match is None:
        lost = "" if any(sign in text for sign in "<≤=>≥") else " (without quotes the shell takes `<` for itself)"
        raise InvalidInput(f"{what} is not understood", remedy=_REMEDY + lost)
    metric, statistic, sign, limit = match[1].lower(), match[2].lower(), match[3], match[4]
    if metric not in METRICS:
        close = get_close_matches(metric, METRICS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InvalidInput(f"{what}: unknown metric {match[1]!r}", remedy=f"{hint}use one of {', '.join(METRICS)}")
    quantile = _quantile(statistic, what)
    if sign not in ("<=", "≤", "<"):
        raise InvalidInput(f"{what}: {sign!r} does not limit from above", remedy=_REMEDY)
    seconds = parse_seconds(limit, what=what)
    if not _LEAST_S <= seconds <= _MOST_S:
        raise InvalidInput(f"{what}: the limit is out of range", remedy="give a limit from 1us to 1e6s")
    return WrittenObjective(metric=metric, quantile=quantile, limit_s=seconds, limit="".join(limit.split()))


def _quantile(statistic: str, what: str) -> float | None:
    """None for the mean."""
    if _STATISTIC.fullmatch(statistic) is None:
        raise InvalidInput(f"{what}: unknown statistic {statistic!r}", remedy="use mean or a percentile such as p99")
    if statistic == "mean":
        return None
    percent = float(statistic[1:])
    if not 0.0 < percent < 100.0:
        raise InvalidInput(
            f"{what}: {statistic} is not a percentile between 0 and 100", remedy="use for example p50, p99 or p99.9"
        )
    return percent / 100.0


def parse_objectives(texts: Sequence[str]) -> tuple[Objective, ...]:
    """All objectives; the same statistic twice is refused, since one of the two limits would be silently idle."""
    objectives = tuple(parse_objective(text) for text in texts)
    seen: dict[tuple[str, float | None], Objective] = {}
    for objective in objectives:
        key = (objective.metric, objective.quantile)
        if key in seen and seen[key].limit_s != objective.limit_s:
            raise InvalidInput(
                f"objectives {as_written(seen[key])} and {as_written(objective)} limit the same statistic twice",
                remedy="keep the tighter one",
            )
        seen[key] = objective
    return tuple(seen.values())
