"""`planner predict`: what given replicas do under a load."""

from __future__ import annotations

from typing import Any

import click

from models.continuous_batching import predict as predict_laws
from models.errors import InvalidInput
from models.prediction import Routing
from models.workload import OpenArrivals
from planner.caveats import caveats
from planner.cli.command import Command
from planner.cli.options import (
    no_plan_told,
    objective_option,
    output_options,
    painter,
    profile_option,
    stated_workload,
    width,
    workload_options,
)
from planner.cli.repository import Repository, repository_options
from planner.objective import parse_objectives, unit_warnings
from planner.plan import Answer, load_assumptions
from planner.reports.structured import render
from planner.reports.table import answer_table
from planner.sizing import max_rate, require_known, require_meaning
from planner.units import format_number

_EPILOG = """\b
Examples:
  planner predict --profile llama-3.1-8b-a100-vllm --replicas 2 --qps 20 \\
      --input-tokens 512 --output-tokens 128
  planner predict --profile llama-3.1-8b-a100-vllm --replicas 4 --max-qps \\
      --input-tokens 512 --output-tokens 128 --slo 'ttft:p99<=300ms'"""


@click.command(cls=Command, epilog=_EPILOG)
@profile_option
@click.option("--replicas", type=click.IntRange(1, 10_000_000), required=True, help="Replicas behind the balancer.")
@click.option("--max-qps", is_flag=True, help="Find the highest rate that meets every --slo.")
@workload_options
@repository_options
@objective_option
@output_options
def predict(
    profile_name: str | None,
    replicas: int,
    max_qps: bool,
    slo: tuple[str, ...],
    form: str,
    gpu_price: float | None,
    **options: Any,
) -> int:
    """What given replicas do under a load: the law of every latency, throughput and utilisation.

    An unstable system (more arrives than can be served) is told as such, with exit code 0.
    """
    repository = Repository.taken_from(options)
    repository.check(profile_name)
    objectives = parse_objectives(slo)
    if max_qps and options["qps"] is not None:
        raise InvalidInput("--max-qps and --qps exclude each other", remedy="drop --qps: the rate is the answer")
    if max_qps and options["concurrency"] is not None:
        raise InvalidInput(
            "--max-qps and --concurrency exclude each other", remedy="drop --concurrency: users have no rate"
        )
    if max_qps and not objectives:
        raise InvalidInput("--max-qps needs an objective", remedy="add for example --slo 'ttft:p99<=500ms'")
    profile = repository.profile(profile_name)
    if profile.spec.engine == "triton":
        from planner.cli.batching import predict_batcher, question_of

        question = question_of(profile, options, objectives, gpu_price=gpu_price, needs_rate=not max_qps)
        return predict_batcher(question, replicas=replicas, max_qps=max_qps, form=form)
    routing = Routing(options.pop("routing"))
    stated = stated_workload(options, needs_rate=not max_qps)
    engine, workload = profile.to_engine(), stated.workload
    require_meaning(objectives, workload)
    require_known(objectives)
    if max_qps:
        with no_plan_told(profile, objectives, form, max_qps=None):
            rate, prediction = max_rate(engine, workload, objectives, replicas=replicas, routing=routing)
        workload = workload.at_rate(rate)
    else:
        prediction = predict_laws(engine, workload, replicas=replicas, routing=routing)
    answer = Answer(
        profile=profile,
        workload=workload,
        objectives=objectives,
        replicas=replicas,
        prediction=prediction,
        assumptions=(*stated.assumptions, *load_assumptions(profile, workload)),
        warnings=(*unit_warnings(objectives), *caveats(profile, workload, objectives, prediction, routing)),
        gpu_price_per_h=gpu_price,
    )
    if form == "table":
        if max_qps and isinstance(workload.arrivals, OpenArrivals):
            most = format_number(workload.arrivals.rate_per_s)
            click.echo(f"{most} requests/s is the highest rate that meets every objective.")
        click.echo(answer_table(answer, "predicted", painter(), width()), nl=False)
    else:
        fields = answer.as_dict()
        if max_qps and isinstance(workload.arrivals, OpenArrivals):
            fields["feasible"] = True
            fields["max_qps"] = workload.arrivals.rate_per_s
        click.echo(render(fields, form), nl=False)
    return 0
