"""A latency as tools summarise it: mean and percentiles under names that end in a statistic."""

from __future__ import annotations

from collections.abc import Mapping

from models.measurement import LatencySummary
from planner.importers.fields import Fields
from planner.importers.request_statistics import CHUNKED_BELOW, ITL_LEFT_OUT

STATISTICS = {"mean_s": "mean", "p50_s": "p50", "p90_s": "p90", "p95_s": "p95", "p99_s": "p99"}


def latency(fields: Fields, names: Mapping[str, str | tuple[str, ...]], scale: float = 1.0) -> LatencySummary | None:
    """The summary; `names` gives for `mean`, `p50` … the field, or several in the order of preference.

    Zeros are absent figures: tools write them where nothing was measured.
    """
    found = {}
    for attribute, statistic in STATISTICS.items():
        wanted = names.get(statistic, ())
        for name in (wanted,) if isinstance(wanted, str) else wanted:
            value = fields.maybe(name)
            if value:
                found[attribute] = value * scale
                break
    return LatencySummary(**found) if found else None


def without_chunks(
    itl: LatencySummary | None, tpot: LatencySummary | None, *, zero_median: bool = False
) -> tuple[LatencySummary | None, str]:
    """Gaps without their percentiles where several tokens came in a chunk, and a note of it.

    The median gap then is that inside a chunk, far below the engine's step, or even zero in the file, which `latency`
    leaves out (`zero_median`); the mean stays true.
    """
    if itl is None:
        return itl, ""
    median = 0.0 if zero_median else itl.p50_s
    step = None if tpot is None else tpot.typical_s
    if median is None or (median > 0.0 and (step is None or median >= CHUNKED_BELOW * step)):
        return itl, ""
    kept = None if itl.mean_s is None else LatencySummary(mean_s=itl.mean_s)
    return kept, f"{ITL_LEFT_OUT}: tokens came in chunks (median gap {median:.2g} s)"
