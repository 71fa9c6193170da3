"""`planner size`: the least replicas and GPUs that meet the objectives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from models.prediction import Routing
from planner.cli.options import (
    objective_option,
    output_options,
    painter,
    profile_option,
    require_profile,
    stated_workload,
    workload_options,
)
from planner.objective import parse_objectives
from planner.plan import Plan
from planner.profile import load_profile
from planner.reports.structured import render
from planner.reports.table import fleet_table, plan_table
from planner.sizing import MAX_REPLICAS
from planner.sizing_request import SizingRequest, make_plan

_EPILOG = """\b
Examples:
  planner size --profile llama-3.1-8b-a100-vllm --qps 20 --input-tokens 512 \\
      --output-tokens 128 --slo 'ttft:p99<=500ms' --slo 'itl:p95<=60ms'
  planner size --profile llama-3.1-8b-a100-vllm --concurrency 200 --think-time 10s \\
      --input-tokens 800 --output-tokens 250 --output-cv 1 --slo 'e2e:p95<=8s'
  planner size --profile my.yaml --trace requests.csv --slo 'ttft:p99<=1s' -o json
  planner size --fleet fleet.yaml -o csv"""


@click.command(epilog=_EPILOG)
@profile_option
@workload_options
@objective_option
@click.option(
    "--max-replicas", type=click.IntRange(1, 10_000_000), default=MAX_REPLICAS, show_default=True,
    help="Give up beyond so many.",
)  # fmt: skip
@click.option("--fleet", type=click.Path(path_type=Path), help="YAML file of many workloads to size at once.")
@click.option("--explain", is_flag=True, help="Show the reasoning, step by step, with the formulas' names.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw latency against replicas and load (.svg or .png).")
@output_options
def size(
    profile_name: str | None,
    slo: tuple[str, ...],
    max_replicas: int,
    fleet: Path | None,
    explain: bool,
    plot: Path | None,
    form: str,
    gpu_price: float | None,
    **options: Any,
) -> int:
    """The least replicas and GPUs that meet every objective under a load.

    The answer shows predicted percentiles beside each objective, which objective binds, what one replica fewer would
    break, and what was assumed. Exit code 1: no number of replicas meets them.
    """
    if fleet is not None:
        _refuse_beside_fleet(explain=explain, plot=plot, **options)
        return _size_fleet(fleet, profile_name, slo, form)
    name = require_profile(profile_name)
    if not slo:
        raise click.UsageError("no objective is given: add for example --slo 'ttft:p99<=500ms'")
    routing = Routing(options.pop("routing"))
    stated = stated_workload(options)
    request = SizingRequest(
        profile=load_profile(name),
        workload=stated.workload,
        objectives=parse_objectives(slo),
        routing=routing,
        max_replicas=max_replicas,
        gpu_price_per_h=gpu_price,
        assumptions=stated.assumptions,
    )
    plan = make_plan(request)
    if plot is not None:
        from planner.plot import draw_plan

        draw_plan(request, plan, plot)
        click.echo(f"drew {plot}", err=True)
    click.echo(_rendered(plan, form), nl=False)
    if explain:
        from planner.explain import explain_plan

        click.echo(explain_plan(request, plan), nl=False, err=form != "table")
    return 0


def _refuse_beside_fleet(**options: Any) -> None:
    idle = ("routing", "think_time", "trace_window", "input_cv", "output_cv", "prefix_hit_rate")
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value and name not in idle]
    if given:
        raise click.UsageError(f"{', '.join(given)} cannot stand beside --fleet: its workloads say these themselves")


def _rendered(plan: Plan, form: str) -> str:
    if form == "table":
        return plan_table(plan, painter())
    return render(plan.as_dict(), form)  # type: ignore[arg-type]


def _size_fleet(path: Path, profile_name: str | None, slo: tuple[str, ...], form: str) -> int:
    from planner.fleet import read_fleet, size_entry

    entries = read_fleet(path, profile_name, parse_objectives(slo))
    results: list[tuple[str, dict[str, Any] | str]] = []
    with click.progressbar(
        entries, label="sizing", file=sys.stderr, width=40, hidden=not sys.stderr.isatty()
    ) as progress:
        for entry in progress:
            plan = size_entry(entry)
            results.append((entry.name, plan.as_dict() if isinstance(plan, Plan) else plan))
    if form == "table":
        click.echo(fleet_table(results, painter()), nl=False)
    else:
        rows = [
            {"name": name, **(row if isinstance(row, dict) else {"feasible": False, "reason": row})}
            for name, row in results
        ]
        click.echo(render(rows, form), nl=False)  # type: ignore[arg-type]
    return 1 if any(isinstance(row, str) for _, row in results) else 0
