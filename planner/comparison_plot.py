"""Cost against latency of a comparison, the Pareto front marked, as SVG or PNG."""

from __future__ import annotations

from pathlib import Path

from planner.comparison import Comparison
from planner.comparison_row import Row
from planner.plot import STYLE, write_picture


def draw_comparison(found: Comparison, path: Path) -> int:
    """Write the picture; returns how many rows are on it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    axis = found.axis
    assert axis is not None
    points = [
        (row, _cost(row), 1e3 * (row.latency(axis.metric, axis.statistic) or 0.0), bool(on))
        for row, on in zip(found.rows, found.pareto, strict=True)
        if on is not None
    ]
    priced = bool(points) and points[0][0].per_hour is not None
    middle = 0.5 * (min(p[1] for p in points) + max(p[1] for p in points))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 5))
        for row, cost, latency, on in points:
            estimated = row.candidate.estimated
            axes.plot(
                cost, latency, linestyle="none", markersize=8, marker="s" if estimated else "o",
                color="tab:blue" if on else "tab:grey", fillstyle="none" if estimated else "full",
            )  # fmt: skip
            left = cost > middle  # names stay inside the picture
            axes.annotate(
                row.name, (cost, latency), xytext=(-6 if left else 6, 4), textcoords="offset points", fontsize=7,
                ha="right" if left else "left",
            )  # fmt: skip
        members = sorted((cost, latency) for _, cost, latency, on in points if on)
        axes.step(
            [cost for cost, _ in members], [latency for _, latency in members], where="post", color="tab:blue",
            linewidth=1, label="Pareto front",
        )  # fmt: skip
        builds = any(p[0].builds_per_hour for p in points)
        axes.set_xlabel(f"$ an hour{', builds included' if builds else ''}" if priced else "GPUs")
        axes.set_ylabel(f"{axis}, ms")
        axes.set_ylim(bottom=0.0)
        axes.margins(x=0.25)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=7)
        axes.set_title(
            "Squares with a rim alone are estimated" if any(p[0].candidate.estimated for p in points) else ""
        )
        figure.tight_layout()
        write_picture(figure, path)
    return len(points)


def _cost(row: Row) -> float:
    cost = row.per_hour_with_builds
    return float(row.gpus) if cost is None else cost
