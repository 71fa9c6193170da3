"""Latency percentiles against replicas and against load, with the objectives and the chosen point, as SVG or PNG."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.continuous_batching import predict
from models.errors import InvalidInput
from models.objective import Metric, Objective
from models.workload import ClosedArrivals, OpenArrivals
from planner.files import require_writable, write_atomically
from planner.objective import as_written
from planner.plan import Plan
from planner.reports.table import counted
from planner.sizing_request import SizingRequest

if TYPE_CHECKING:
    from models.prediction import Prediction

_PERCENTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
_POINTS = 13


_INSTALL = (
    "install it beside Replicast: pip install 'replicast[plot]' in its environment, or pipx inject replicast matplotlib"
)


def require_drawable(path: Path) -> None:
    """Raise InvalidInput where a picture could not be written in the end: asked before the work is done."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise InvalidInput(f"--plot {path}: the file's name must end in .svg or .png", remedy="for example plan.svg")
    require_writable(path, what="--plot")
    if find_spec("matplotlib") is None:
        raise InvalidInput("--plot needs matplotlib", remedy=_INSTALL)


STYLE: dict[Any, Any] = {"svg.hashsalt": "replicast", "svg.fonttype": "none", "font.size": 9}
"""The same bytes for the same picture, with text that stays text."""


def write_picture(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all, in the form of the file's suffix, and let go of it."""
    from matplotlib import pyplot as plt

    form = path.suffix.lower().lstrip(".")
    stream = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    figure.savefig(stream, format=form, metadata=metadata, dpi=140)
    plt.close(figure)
    write_atomically(path, stream.getvalue())


def draw_plan(request: SizingRequest, plan: Plan, path: Path) -> None:
    """Write the picture. Raises InvalidInput where it cannot be written after all."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    answer = plan.answer
    metrics = list(dict.fromkeys(objective.metric for objective in request.objectives))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(len(metrics), 2, figsize=(10, 3.2 * len(metrics)), squeeze=False)
        replicas, by_replicas = _over_replicas(request, plan)
        loads, by_load, unit = _over_load(request, plan)
        chosen_load = float(loads[np.argmin(np.abs(loads - _load(request)))])
        for row, metric in zip(axes, metrics, strict=True):
            limits = [objective for objective in request.objectives if objective.metric == metric]
            _draw(row[0], replicas, by_replicas, metric, limits, float(answer.replicas))
            row[0].set_xlabel("replicas")
            _draw(row[1], loads, by_load, metric, limits, chosen_load)
            row[1].set_xlabel(f"{unit}, {counted(answer.replicas, 'replica')}")
        title = f"{request.profile.name}: {counted(answer.replicas, 'replica')}, {counted(answer.gpus, 'GPU')}"
        figure.suptitle(title)
        figure.tight_layout()
        write_picture(figure, path)


def _load(request: SizingRequest) -> float:
    arrivals = request.workload.arrivals
    return arrivals.rate_per_s if isinstance(arrivals, OpenArrivals) else float(arrivals.users)


def _over_replicas(request: SizingRequest, plan: Plan) -> tuple[Any, list[Prediction]]:
    chosen = plan.answer.replicas
    counts = np.unique(np.rint(np.geomspace(max(1.0, 0.6 * chosen), 2.0 * chosen + 1.0, _POINTS)).astype(int))
    counts = np.unique(np.append(counts, chosen))
    engine = request.profile.to_engine()
    return counts, [predict(engine, request.workload, replicas=int(count), routing=request.routing) for count in counts]


def _over_load(request: SizingRequest, plan: Plan) -> tuple[Any, list[Prediction], str]:
    engine, replicas = request.profile.to_engine(), plan.answer.replicas
    shares = np.append(np.linspace(0.2, 1.4, _POINTS), 1.0)
    if isinstance(request.workload.arrivals, ClosedArrivals):
        users = np.unique(np.maximum(1, np.rint(shares * request.workload.arrivals.users)).astype(int))
        workloads = [request.workload.with_users(int(count)) for count in users]
        loads, unit = users, "users"
    else:
        loads = np.unique(shares * request.workload.arrivals.rate_per_s)
        workloads = [request.workload.at_rate(float(rate)) for rate in loads]
        unit = "requests/s"
    return loads, [predict(engine, load, replicas=replicas, routing=request.routing) for load in workloads], unit


def _draw(
    axis: Any, at: Any, predictions: list[Prediction], metric: Metric, limits: list[Objective], chosen: float
) -> None:
    """Statistics of one metric over replicas or load, its limits, and the plan as a ring on each curve."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for quantile, name in _statistics(limits):
        laws = [prediction.laws.get(metric) for prediction in predictions]
        values = np.array([np.nan if law is None else law.statistic(quantile) for law in laws])
        (curve,) = axis.plot(at, values, marker=".", label=name)
        axis.plot(chosen, values[at == chosen], marker="o", markersize=9, fillstyle="none", color=curve.get_color())
    for limit in limits:
        axis.axhline(limit.limit_s, color="black", linestyle="--", linewidth=1)
        place = (0.01, limit.limit_s)
        axis.annotate(as_written(limit), place, xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
    axis.axvline(chosen, color="grey", linewidth=1)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _tick(seconds)))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=bool(np.all(at == np.rint(at)))))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
    axis.set_ylabel(metric)
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=7, title_fontsize=7)


def _statistics(limits: list[Objective]) -> list[tuple[float | None, str]]:
    """The usual percentiles, and whatever a limit is on."""
    asked = {limit.quantile: limit.statistic for limit in limits}
    return sorted((dict(_PERCENTILES) | asked).items(), key=lambda each: each[0] or 0.0)


def _tick(seconds: float) -> str:
    """`50 ms`, `2 s`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1.0 else f"{seconds:,.4g} s"
