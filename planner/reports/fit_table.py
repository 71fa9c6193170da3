"""A fit as a person reads it: the terms and how sure they are, and each measured point beside the fit."""

from __future__ import annotations

import textwrap
from typing import Any

from models.step_fit import StepFit
from models.step_terms import terms_of
from planner.units import format_seconds, format_share

_WIDTH = 112
_FORMS = {
    "linear": "a straight line",
    "sqrt": "a line and a square root of the batch",
    "experts": "a line and distinct experts",
}


def fit_table(result: StepFit) -> str:
    """Form, terms with their uncertainty, residuals by point, notes."""
    error = format_share(result.median_error)
    left_out = (
        ""
        if result.cross_validated_error is None
        else (f", {format_share(result.cross_validated_error)} at loads left out")
    )
    lines = [f"fitted: {_FORMS[result.form]}; error of TPOT {error} at its points{left_out} (medians)", ""]
    for (name, value), deviation in zip(
        terms_of(result.step_time).items(), result.uncertainty.deviations_s, strict=True
    ):
        sure = f"± {format_share(deviation / value)}" if value > 0.0 else f"at most some {2.0 * deviation:.2g} s"
        lines.append(f"  {name.removesuffix('_s'):<20}{value:>12.4g} s  {sure}")
    lines += ["", f"  {'measured at':<38}{'TPOT':>10}{'fitted':>10}{'error':>9}{'TTFT':>11}{'fitted':>10}{'error':>9}"]
    for each in result.residuals:
        point, predicted = each.measurement, each.predicted
        ttft = f"{format_seconds(point.ttft_s):>11}{format_seconds(predicted.ttft_s):>10}{_signed(each.ttft):>9}"
        lines.append(
            f"  {point!s:<38}{format_seconds(point.tpot_s):>10}{format_seconds(predicted.tpot_s):>10}"
            f"{_signed(each.tpot):>9}{ttft if point.ttft_s is not None else ''}".rstrip()
        )
    for note in result.notes:
        lines += ["", *textwrap.wrap(note, _WIDTH, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def fit_fields(name: str, result: StepFit) -> dict[str, Any]:
    """The same as data, seconds and shares."""
    return {
        "profile": name,
        "form": result.form,
        "terms": {
            term: {"value": value, "deviation": deviation}
            for (term, value), deviation in zip(
                terms_of(result.step_time).items(), result.uncertainty.deviations_s, strict=True
            )
        },
        "correlations": [list(row) for row in result.uncertainty.correlations],
        "before_first_token": {
            "overhead": result.wait.overhead_s,
            "crowd_per_prompt_token": result.wait.crowd_s,
            "cohort_per_prompt_token": result.wait.cohort_s,
        },
        "median_error": result.median_error,
        "cross_validated_error": result.cross_validated_error,
        "points": [
            {
                "load": str(each.measurement),
                "tpot": {"measured": each.measurement.tpot_s, "fitted": each.predicted.tpot_s, "error": each.tpot},
                "ttft": {"measured": each.measurement.ttft_s, "fitted": each.predicted.ttft_s, "error": each.ttft},
            }
            for each in result.residuals
        ],
        "notes": list(result.notes),
    }


def _signed(error: float | None) -> str:
    return "—" if error is None else f"{100.0 * error:+.1f} %"
