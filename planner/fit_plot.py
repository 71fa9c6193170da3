"""A fit drawn: measured points, the fitted curve of each pair of lengths and the band of its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.calibration import expected_point
from models.load_groups import by_lengths
from models.mean_step import relative_deviation
from models.measurement import Measurement
from models.step_fit import StepFit
from models.step_terms import deviations_at
from planner.plot import STYLE, write_picture
from planner.profile import EngineProfile

_POINTS = 60


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
    for index, points in enumerate(by_lengths(_of(result, kind))):
        prompt, output = (
            float(np.mean([getattr(p, name) for p in points])) for name in ("input_tokens", "output_tokens")
        )
        at = np.array([getattr(point, kind) for point in points])
        seen = np.array([getattr(point, f"{metric}_s") or np.nan for point in points])
        grid = np.geomspace(at.min(), at.max(), _POINTS) if at.max() > at.min() else at[:1]
        loads = [_load(kind, float(value), prompt, output) for value in grid]
        fitted = [expected_point(result.step_time, load, limits, wait=result.wait) for load in loads]
        curve = np.array([getattr(point, f"{metric}_s") for point in fitted])
        colour = f"C{index % 10}"
        axis.plot(grid, 1e3 * curve, color=colour, label=f"{prompt:.4g} in / {output:.4g} out")
        if metric == "tpot":
            of_terms = [
                relative_deviation(result.uncertainty, result.step_time, load, point, limits)
                for load, point in zip(loads, fitted, strict=True)
            ]
            spread = deviations_at(0.95) * np.hypot(result.noise, of_terms)
            low, high = 1e3 * curve * np.maximum(1.0 - spread, 0.0), 1e3 * curve * (1.0 + spread)
            axis.fill_between(grid, low, high, color=colour, alpha=0.15)
        axis.plot(at, 1e3 * seen, "o", color=colour, markersize=4)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("users" if kind == "concurrency" else "requests/s")
    axis.set_ylabel(f"{metric.upper()}, ms")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=7)
