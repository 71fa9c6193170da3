"""The report as JSON: every table, every digit."""

from __future__ import annotations

import json

from planner.capacity_report.document import CapacityReport

FORMAT = "replicast.dev/capacity-report/v1"
"""Changes when a reader of the old one would fail."""


def to_json(report: CapacityReport) -> str:
    """`{"format": …, "title": …, "headline": […], "tables": {…}}`: SI units and fractions, null for what is not known.

    Names are written with escapes where they are not ASCII, so that no mark for direction can disguise the text.
    """
    return json.dumps({"format": FORMAT, **report.as_dict()}, indent=1, allow_nan=False) + "\n"
