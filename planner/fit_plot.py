"""A fit drawn: measured points, the fitted curve of each pair of lengths and the band of its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.mean_step import steady_point
from models.measurement import Measurement
from models.step_fit import StepFit
from planner.plot import STYLE, write_picture
from planner.profile import EngineProfile

_POINTS = 60
_BAND = 1.645
"""Deviations to either side that hold nine in ten."""


def draw_fit(profile: EngineProfile, result: StepFit, path: Path) -> None:
    """TPOT and TTFT against the users of closed loops, and against the rate of open ones. Raises InvalidInput."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    loads = [kind for kind in ("concurrency", "arrival_rate_per_s") if any(_of(result, kind))]
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(len(loads), 2, figsize=(10, 3.4 * len(loads)), squeeze=False)
        for row, kind in zip(axes, loads, strict=True):
            for axis, metric in zip(row, ("tpot", "ttft"), strict=True):
                _draw(axis, profile, result, kind, metric)
        figure.suptitle(f"{profile.name}: fitted step time, band of nine in ten")
        figure.tight_layout()
        write_picture(figure, path)


def _of(result: StepFit, kind: str) -> list[Measurement]:
    return [each.measurement for each in result.residuals if getattr(each.measurement, kind) is not None]


def _load(kind: str, value: float, prompt: float, output: float) -> Measurement:
    users, rate = (value, None) if kind == "concurrency" else (None, value)
    return Measurement(input_tokens=prompt, output_tokens=output, concurrency=users, arrival_rate_per_s=rate)


def _draw(axis: Any, profile: EngineProfile, result: StepFit, kind: str, metric: str) -> None:
    limits = profile.spec.limits.to_limits()
    pairs = dict.fromkeys((point.input_tokens, point.output_tokens) for point in _of(result, kind))
    for index, (prompt, output) in enumerate(pairs):
        points = [p for p in _of(result, kind) if (p.input_tokens, p.output_tokens) == (prompt, output)]
        at = np.array([getattr(point, kind) for point in points])
        seen = np.array([getattr(point, f"{metric}_s") or np.nan for point in points])
        grid = np.geomspace(at.min(), at.max(), _POINTS) if at.max() > at.min() else at[:1]
        curve = np.array(
            [
                getattr(
                    steady_point(
                        result.step_time,
                        _load(kind, float(value), prompt, output),
                        limits,
                        overhead_s=result.overhead_s,
                        cohort_s=result.cohort_s,
                    ),
                    f"{metric}_s",
                )
                for value in grid
            ]
        )
        colour = f"C{index % 10}"
        axis.plot(grid, 1e3 * curve, color=colour, label=f"{prompt:g} in / {output:g} out")
        spread = _BAND * max(result.cross_validated_error or 0.0, result.median_error) / 0.6745
        if metric == "tpot" and spread > 0.0:
            axis.fill_between(grid, 1e3 * curve * (1 - spread), 1e3 * curve * (1 + spread), color=colour, alpha=0.15)
        axis.plot(at, 1e3 * seen, "o", color=colour, markersize=4)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("users" if kind == "concurrency" else "requests/s")
    axis.set_ylabel(f"{metric.upper()}, ms")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=7)
