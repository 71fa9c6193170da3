"""Options that several commands share, and what they make."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from models.errors import InvalidInput, NoFeasiblePlan
from models.objective import Objective
from models.prediction import Routing
from planner.cli.finite_range import FiniteRange
from planner.plan import no_plan
from planner.profile import EngineProfile
from planner.reports.structured import render
from planner.reports.table import WIDTH, Paint, plain
from planner.units import parse_seconds
from planner.workload import StatedWorkload, WorkloadOptions, build_workload

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "yaml", "csv")
_COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}


def profile_option(command: F) -> F:
    """`--profile`."""
    return click.option(
        "--profile",
        "profile_name",
        required=False,
        metavar="NAME|FILE",
        help="A profile file, or the name of a shipped one (`planner profile list`).",
        shell_complete=_complete_profiles,
    )(command)


def workload_options(command: F) -> F:
    """The load and the lengths."""
    for option in reversed(
        [
            click.option("--qps", type=float, help="Requests that arrive per second, at all replicas together."),
            click.option("--concurrency", type=int, help="Users that each wait for their answer before asking again."),
            click.option("--think-time", default="0s", show_default=True, help="Pause of a user between requests."),
            click.option(
                "--trace",
                type=click.Path(path_type=Path),
                help="CSV (or .csv.gz) of arrival_s,input_tokens,output_tokens: its lengths, and its busiest rate.",
            ),
            click.option(
                "--trace-window", help="The busiest window of a trace to plan for.  [default: 5m]"
            ),
            click.option("--input-tokens", type=float, help="Mean prompt length."),
            click.option("--output-tokens", type=float, help="Mean answer length."),
            click.option(
                "--input-cv", type=float, default=0.0, show_default=True,
                help="Coefficient of variation of prompt lengths (lognormal; 0: all equal).",
            ),
            click.option(
                "--output-cv", type=float, default=0.0, show_default=True,
                help="Coefficient of variation of answer lengths (lognormal; 0: all equal).",
            ),
            click.option(
                "--burstiness", type=float,
                help="Squared coefficient of variation of the gaps between arrivals (Poisson: 1, the default).",
            ),
            click.option(
                "--prefix-hit-rate", type=float, default=0.0, show_default=True,
                help="Share of prompt tokens found in the prefix cache.",
            ),
            click.option(
                "--routing", type=click.Choice([entry.value for entry in Routing]), default=Routing.RANDOM.value,
                show_default=True, help="How the load balancer picks a replica.",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def objective_option(command: F) -> F:
    """`--slo`."""
    return click.option(
        "--slo",
        multiple=True,
        metavar="METRIC:STATISTIC<=LIMIT",
        help="An objective, such as 'ttft:p99<=200ms', 'itl:p95<=50ms', 'e2e:mean<=5s'. Repeat: all must hold.",
    )(command)


def output_options(command: F) -> F:
    """`-o` and the price."""
    command = click.option(
        "--gpu-price", type=FiniteRange(0.0, 1e6), metavar="USD", help="Price of one GPU for an hour."
    )(command)
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format."
    )(command)


_OF_A_WORKLOAD = (
    "qps", "concurrency", "trace", "input_tokens", "output_tokens", "input_cv", "output_cv", "burstiness",
    "prefix_hit_rate",
)  # fmt: skip


def workload_said(options: Mapping[str, Any], *, needs_rate: bool = True) -> WorkloadOptions:
    """What the shared options say of the load."""
    window = options["trace_window"]
    return WorkloadOptions(
        **{key: options[key] for key in _OF_A_WORKLOAD},
        think_time_s=parse_seconds(options["think_time"], what="--think-time"),
        trace_window_s=None if window is None else parse_seconds(window, what="--trace-window"),
        needs_rate=needs_rate,
    )


def stated_workload(options: Mapping[str, Any], *, needs_rate: bool = True) -> StatedWorkload:
    """The workload of the shared options."""
    return build_workload(workload_said(options, needs_rate=needs_rate))


@contextmanager
def no_plan_told(profile: EngineProfile, objectives: Sequence[Objective], form: str, **more: None) -> Iterator[None]:
    """Where there is no plan, a program that reads gets a document that says why; `more` has its further fields."""
    try:
        yield
    except NoFeasiblePlan as error:
        if form != "table":
            click.echo(render({**no_plan(profile, objectives, error), **more}, form), nl=False)
        raise


def width() -> int:
    """Columns to fill: the terminal's (or COLUMNS), and a fixed number elsewhere, as far as reads well."""
    columns = shutil.get_terminal_size(fallback=(WIDTH, 24)).columns
    return min(columns, WIDTH)


def painter() -> Paint:
    """Colour on a terminal that has it, unless NO_COLOR is set; plain text elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return plain
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return lambda text, style: click.style(text, fg=_COLOURS[style], bold=style != "warn") if style else text


def require_profile(name: str | None) -> str:
    """The profile's name, or a message that one is needed."""
    if not name:
        raise InvalidInput("--profile is missing", remedy="name a file, or a shipped one of `planner profile list`")
    return name


def _complete_profiles(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    from planner.profile import catalogue_names

    names = [name for name in catalogue_names() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]
