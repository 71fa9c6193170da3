"""`planner size`: the least replicas and GPUs that meet the objectives."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from models.errors import InvalidInput
from models.prediction import Routing
from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange
from planner.cli.layout import layout_options, take_layout
from planner.cli.options import (
    no_plan_told,
    objective_option,
    output_options,
    painter,
    profile_option,
    require_profile,
    stated_workload,
    width,
    workload_options,
)
from planner.objective import parse_objectives
from planner.plan import Plan
from planner.profile import EngineProfile, load_profile
from planner.reports.structured import render
from planner.reports.table import plan_table
from planner.sizing import MAX_REPLICAS
from planner.sizing_request import SizingRequest, make_plan

if TYPE_CHECKING:
    from planner.fleet import FleetDefaults

_EPILOG = """\b
Examples:
  planner size --profile llama-3.1-8b-a100-vllm --qps 20 --input-tokens 512 \\
      --output-tokens 128 --slo 'ttft:p99<=500ms' --slo 'itl:p95<=60ms'
  planner size --profile llama-3.1-8b-a100-vllm --concurrency 200 --think-time 10s \\
      --input-tokens 800 --output-tokens 250 --output-cv 1 --slo 'e2e:p95<=8s'
  planner size --profile my.yaml --trace requests.csv --slo 'ttft:p99<=1s' -o json
  planner size --model-repository models --model-name reranker --profile-csv times.csv \\
      --qps 300 --slo 'e2e:p99<=150ms'
  planner size --model meta-llama/Llama-3.1-405B --gpu H100-SXM5-80GB --tensor-parallel 8 \\
      --pipeline-parallel 2 --qps 1 --input-tokens 1000 --output-tokens 300 --slo 'itl:p95<=120ms'
  planner size --fleet fleet.yaml -o csv
  planner size --topology hybrid.yaml"""

BESIDE_FLEET = ("fleet", "profile_name", "slo", "routing", "max_replicas", "gpu_price", "form")
"""Options that hold for every workload of a fleet that says nothing else."""


@click.command(cls=Command, epilog=_EPILOG)
@profile_option
@workload_options
@objective_option
@click.option(
    "--max-replicas", type=click.IntRange(1, 10_000_000), default=MAX_REPLICAS, show_default=True,
    help="Give up beyond so many.",
)  # fmt: skip
@click.option(
    "--confidence", type=FiniteRange(0.5, 0.99), metavar="SHARE",
    help="Size for steps so slow that the real engine's are no slower with this chance, such as 0.9.",
)  # fmt: skip
@click.option("--fleet", type=click.Path(path_type=Path), help="YAML file of many workloads to size at once.")
@click.option("--explain", is_flag=True, help="Show the reasoning, step by step, with the formulas' names.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw latency against replicas and load (.svg or .png).")
@click.option(
    "--model-repository", type=click.Path(path_type=Path), metavar="DIR",
    help="Triton model repository: limits from config.pbtxt, instead of --profile (needs the `triton` extra).",
)  # fmt: skip
@click.option(
    "--profile-csv", type=click.Path(path_type=Path), metavar="FILE",
    help="Beside it: time of a batch by its size, columns batch, mean_s or mean_ms, and cv.",
)  # fmt: skip
@click.option("--model-name", metavar="NAME", help="The model of the repository, where it has several.")
@click.option("--gpu", metavar="TYPE", help="GPU type of a --model-repository's or --model's replicas.")
@layout_options
@click.option(
    "--topology", type=click.Path(path_type=Path),
    help="YAML file of several services behind one gateway, sized together under one budget.",
)  # fmt: skip
@output_options
def size(
    profile_name: str | None,
    slo: tuple[str, ...],
    max_replicas: int,
    confidence: float | None,
    fleet: Path | None,
    explain: bool,
    plot: Path | None,
    model_repository: Path | None,
    profile_csv: Path | None,
    model_name: str | None,
    gpu: str | None,
    topology: Path | None,
    form: str,
    gpu_price: float | None,
    **options: Any,
) -> int:
    """The least replicas and GPUs that meet every objective under a load.

    The answer shows predicted percentiles beside each objective, which objective binds, what one replica fewer would
    break, and what was assumed. Exit code 1: no number of replicas meets them.

    One replica fewer than the answer does not do. Far percentiles ripple by about 1 % from one count to the next, so
    that of hundreds of replicas a count a little lower may now and then do again without being found.
    """
    if topology is not None:
        from planner.cli.topology import size_topology

        _refuse_beside("topology", ("topology", "form"))
        return size_topology(topology, form)
    if fleet is not None:
        from planner.fleet import FleetDefaults

        _refuse_beside("fleet", BESIDE_FLEET)
        defaults = FleetDefaults(
            profile=profile_name,
            objectives=parse_objectives(slo),
            routing=Routing(options["routing"]),
            max_replicas=max_replicas,
            gpu_price_per_h=gpu_price,
        )
        return _size_fleet(fleet, defaults, form)
    layout = take_layout(options, gpu)
    repository = _Repository(folder=model_repository, times=profile_csv, model=model_name, gpu=gpu)
    if layout.model is None:
        repository.check(profile_name)
    else:
        layout.refuse_beside(profile=profile_name, repository=model_repository, times=profile_csv, name=model_name)
    if not slo:
        raise InvalidInput("no objective is given", remedy="add for example --slo 'ttft:p99<=500ms'")
    if plot is not None:
        from planner.plot import require_drawable

        require_drawable(plot)
    profile = layout.estimate() or repository.profile(profile_name)
    if profile.spec.engine == "triton" and not layout.asked:
        from planner.cli.batching import question_of, refuse_of_tokens, size_batcher

        said = {"--explain": explain, "--plot": plot is not None, "--confidence": confidence is not None}
        refuse_of_tokens(profile, said)
        question = question_of(profile, options, parse_objectives(slo), gpu_price=gpu_price)
        return size_batcher(question, max_replicas=max_replicas, form=form)
    routing = Routing(options.pop("routing"))
    stated = stated_workload(options)
    objectives = parse_objectives(slo)
    with no_plan_told(profile, objectives, form):
        profile = layout.applied_to(profile, stated.workload.lengths)
    request = SizingRequest(
        profile=profile,
        workload=stated.workload,
        objectives=objectives,
        routing=routing,
        max_replicas=max_replicas,
        gpu_price_per_h=gpu_price,
        assumptions=stated.assumptions,
        confidence=confidence,
    )
    with no_plan_told(request.profile, request.objectives, form):
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


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """The options that stand in for a profile."""

    folder: Path | None
    times: Path | None
    model: str | None
    gpu: str | None

    def check(self, profile_name: str | None) -> None:
        """Refuse what does not go together, before any work."""
        if self.folder is None:
            if self.times is not None or self.model is not None or self.gpu is not None:
                raise InvalidInput(
                    "--profile-csv, --model-name and --gpu belong to a --model-repository",
                    remedy="add --model-repository DIR",
                )
            require_profile(profile_name)
        elif profile_name is not None:
            raise InvalidInput("--model-repository and --profile exclude each other", remedy="drop one of them")
        elif self.times is None:
            raise InvalidInput(
                "--model-repository says nothing of times", remedy="add --profile-csv FILE with batch and mean_ms"
            )

    def profile(self, profile_name: str | None) -> EngineProfile:
        """The profile that is meant."""
        if self.folder is None or self.times is None:
            return load_profile(require_profile(profile_name))
        from planner.model_repository import profile_from_repository

        return profile_from_repository(self.folder, self.times, model=self.model, gpu=self.gpu or "unnamed GPU")


def _refuse_beside(file: str, known: tuple[str, ...]) -> None:
    context = click.get_current_context()
    said = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    given = [f"--{name.replace('_', '-')}" for name in said if name not in known]
    if given:
        raise InvalidInput(
            f"{', '.join(given)} cannot stand beside --{file}",
            remedy="drop it: the file says what each workload is; the rest is asked of one workload at a time",
        )


def _rendered(plan: Plan, form: str) -> str:
    if form == "table":
        return plan_table(plan, painter(), width())
    return render(plan.as_dict(), form)


def _size_fleet(path: Path, defaults: FleetDefaults, form: str) -> int:
    from planner.fleet import read_fleet, size_entries
    from planner.parallel import cores
    from planner.reports.fleet_table import fleet_table

    entries = read_fleet(path, defaults)
    with (
        closing(size_entries(entries, cores=cores())) as sized,
        click.progressbar(
            sized, length=len(entries), label="sizing", file=sys.stderr, width=40, hidden=not sys.stderr.isatty()
        ) as progress,
    ):
        rows = list(progress)
    if form == "table":
        click.echo(fleet_table(rows, painter(), width()), nl=False)
    else:
        click.echo(render([row.as_dict() for row in rows], form), nl=False)
    return 0 if all(row.feasible for row in rows) else 1
