"""Whether what a file says of one run can be true at all: percentiles in order, TTFT within e2e, one unit throughout.

Every bound but those named generous holds for any distribution of positive values, so that no honest run is refused.
"""

from __future__ import annotations

from itertools import pairwise

from models.errors import InvalidInput
from models.measurement import LatencySummary, Measurement
from planner.importers.benchmark_run import BenchmarkRun
from planner.importers.fields import IMPOSSIBLE

ROUNDED = 0.01
"""Figures are written with few digits, and TTFT and e2e are taken at slightly different moments."""
ANOTHER_UNIT = 20.0
"""Generous: a mean so many times the 90th percentile or a higher one. Milliseconds for seconds are a thousand times."""
ANOTHER_UNIT_THAN_MEDIAN = 200.0
"""Generous: the same of the median, which a queue that grows leaves far below the mean."""
_UNITS = "are they in one unit? look at the tool's own output"


def require_possible(run: BenchmarkRun) -> None:
    """Raise InvalidInput that names the run's place and the figures that contradict each other."""
    point = run.measurement
    for metric in ("ttft", "tpot", "itl", "e2e", "queue"):
        law = getattr(point, metric)
        if law is not None:
            _require_ascending(run.place, metric, law)
            _require_one_unit(run.place, metric, law)
    _require_first_token_within(run.place, point)
    _require_gaps_fit(run.place, point)


def _require_ascending(place: str, metric: str, law: LatencySummary) -> None:
    found = [(name, value) for name, value in law.items() if name != "mean"]
    for (lower, low), (higher, high) in pairwise(found):
        if low > high * (1.0 + 1e-9):
            raise InvalidInput(
                f"{place}, {metric}: {lower} {low:.4g} s lies above {higher} {high:.4g} s", remedy=IMPOSSIBLE
            )


def _require_one_unit(place: str, metric: str, law: LatencySummary) -> None:
    """A mean of positive values is at least (1 - q) of any percentile q (Markov); far above all of them is generous."""
    if law.mean_s is None:
        return
    for name, value in law.items():
        if name == "mean":
            continue
        above = 1.0 - float(name.removeprefix("p")) / 100.0
        most = value * (ANOTHER_UNIT_THAN_MEDIAN if name == "p50" else ANOTHER_UNIT)
        if not above * value * (1.0 - ROUNDED) <= law.mean_s <= most:
            raise InvalidInput(
                f"{place}, {metric}: a mean of {law.mean_s:.4g} s cannot go with a {name} of {value:.4g} s",
                remedy=_UNITS,
            )


def _require_first_token_within(place: str, point: Measurement) -> None:
    """TTFT is part of e2e in each request, and so in the mean and in every percentile."""
    if point.ttft is None or point.e2e is None:
        return
    whole = dict(point.e2e.items())
    for name, ttft in point.ttft.items():
        if name in whole and ttft > whole[name] * (1.0 + ROUNDED):
            raise InvalidInput(
                f"{place}, ttft: {name} {ttft:.4g} s is more than the {whole[name]:.4g} s of e2e, which includes it",
                remedy=_UNITS,
            )


def _require_gaps_fit(place: str, point: Measurement) -> None:
    """Generous: gaps between tokens against the time that the answer took after its first token."""
    if point.ttft is None or point.e2e is None or point.ttft.mean_s is None or point.e2e.mean_s is None:
        return
    spent = point.e2e.mean_s - point.ttft.mean_s
    for metric in ("tpot", "itl"):
        law = getattr(point, metric)
        if law is None or law.mean_s is None or point.decode_steps < 1.0 or spent <= 0.0:
            continue
        apart = law.mean_s * point.decode_steps / spent
        if not 1.0 / ANOTHER_UNIT <= apart <= ANOTHER_UNIT:
            raise InvalidInput(
                f"{place}, {metric}: {point.decode_steps:.4g} gaps of {law.mean_s:.4g} s do not go with the "
                f"{spent:.4g} s between first and last token",
                remedy=_UNITS,
            )
