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


def without_chunks(itl: LatencySummary | None, tpot: LatencySummary | None) -> tuple[LatencySummary | None, str]:
    """Gaps without their percentiles where several tokens came in a chunk, and a note of it.

    The median gap then is that inside a chunk, far below the engine's step; the mean stays true.
    """
    if itl is None or itl.p50_s is None or tpot is None or tpot.typical_s is None:
        return itl, ""
    if itl.p50_s >= CHUNKED_BELOW * tpot.typical_s:
        return itl, ""
    kept = None if itl.mean_s is None else LatencySummary(mean_s=itl.mean_s)
    return kept, f"{ITL_LEFT_OUT}: tokens came in chunks (median gap {itl.p50_s:.2g} s)"
