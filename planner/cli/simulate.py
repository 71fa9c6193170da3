"""`planner simulate`: the step simulator on the same question."""

from __future__ import annotations

import math
import sys
from typing import Any

import click

from models.continuous_batching import predict as predict_laws
from models.prediction import Routing
from models.workload import ClosedArrivals, Workload
from planner.caveats import profile_caveats
from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange
from planner.cli.interruptible import interruptible
from planner.cli.options import (
    objective_option,
    output_options,
    painter,
    profile_option,
    require_profile,
    stated_workload,
    width,
    workload_options,
)
from planner.cli.simulate_serve import ServeOptions, refuse_idle, serve_until_stopped
from planner.objective import parse_objectives, unit_warnings
from planner.plan import Answer, load_assumptions
from planner.profile import load_profile
from planner.reports.structured import render
from planner.reports.table import answer_table
from planner.sizing import require_meaning

_EPILOG = """\b
Examples:
  planner simulate --profile llama-3.1-8b-a100-vllm --replicas 2 --qps 20 \\
      --input-tokens 512 --output-tokens 128
  planner simulate --profile llama-3.1-8b-a100-vllm --replicas 1 --concurrency 32 \\
      --input-tokens 512 --output-tokens 128 --requests 50000 --seed 7 -o json
  planner simulate --profile llama-3.1-8b-a100-vllm --replicas 2 --qps 20 --speed 10 \\
      --input-tokens 512 --output-tokens 128 --serve 8000"""


@click.command(cls=Command, epilog=_EPILOG)
@profile_option
@click.option("--replicas", type=click.IntRange(1, 10_000_000), required=True, help="Replicas behind the balancer.")
@workload_options
@objective_option
@click.option(
    "--requests", type=click.IntRange(1000, 1_000_000_000), default=200_000, show_default=True,
    help="Requests to serve, all replicas together.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Seed of the chance.")
@click.option(
    "--serve",
    metavar="[HOST:]PORT",
    help="Go on without an end and show each replica's metrics to Prometheus there, as a real engine does.",
)
@click.option(
    "--speed",
    type=FiniteRange(0.001, 10_000.0),
    default=1.0,
    show_default=True,
    help="With --serve: simulated seconds a second. Rates that Prometheus sees are as many times higher.",
)
@click.option("--model-name", metavar="NAME", help="With --serve: the metrics' label.  [default: the profile's model]")
@click.option(
    "--metric-names",
    type=click.Choice(["newest", "oldest"]),
    default="newest",
    show_default=True,
    help="With --serve: vLLM's names of today, or its first ones.",
)
@output_options
@click.pass_context
def simulate(
    context: click.Context,
    /,
    profile_name: str | None,
    replicas: int,
    slo: tuple[str, ...],
    requests: int,
    seed: int,
    serve: str | None,
    speed: float,
    model_name: str | None,
    metric_names: str,
    form: str,
    gpu_price: float | None,
    **options: Any,
) -> int:
    """Serve many requests step by step, as vLLM's scheduler does, and report the laws observed.

    Slower than `planner predict` and independent of it: the two check each other. The first run on a machine compiles
    the simulator (some seconds).

    With --serve it is a service to try things out on, with dashboards, alerts or a controller: it runs until Ctrl-C, in
    real time or faster, and its load and its replicas can be changed over HTTP while it runs (it says how).
    """
    refuse_idle(context, serve)
    name = require_profile(profile_name)
    objectives = parse_objectives(slo)
    profile = load_profile(name)
    if serve is not None:
        chosen = ServeOptions(
            address=serve, replicas=replicas, seed=seed, speed=speed, model_name=model_name, metric_names=metric_names
        )
        return serve_until_stopped(profile, options, chosen)
    if profile.spec.engine == "triton":
        from planner.cli.batching import question_of, simulate_batcher

        question = question_of(profile, options, objectives, gpu_price=gpu_price)
        return simulate_batcher(question, replicas=replicas, requests=requests, seed=seed, form=form)
    routing = Routing(options.pop("routing"))
    stated = stated_workload(options)
    engine = profile.to_engine()
    require_meaning(objectives, stated.workload)
    predict_laws(engine, stated.workload, replicas=replicas, routing=routing)  # refuses what no engine can serve
    from models.simulation.replicas import simulate as run

    shown = sys.stderr.isatty() or requests >= 1_000_000
    with click.progressbar(length=1000, label="simulating", file=sys.stderr, width=40, hidden=not shown) as bar:
        done = 0

        def tell(share: float) -> None:
            nonlocal done
            step = int(1000 * share) - done
            done += step
            bar.update(step)

        result = interruptible(
            lambda: run(
                engine, stated.workload, replicas=replicas, routing=routing, requests=requests, seed=seed, progress=tell
            )
        )
    answer = Answer(
        profile=profile,
        workload=stated.workload,
        objectives=objectives,
        replicas=replicas,
        prediction=result.prediction,
        assumptions=(
            *stated.assumptions,
            *load_assumptions(profile, stated.workload),
            f"{result.requests:,} requests counted, seed {seed}",
            *_fewer_simulated(replicas),
            "utilisation and the capacity beside it are predicted, not simulated",
        ),
        warnings=(
            *unit_warnings(objectives),
            *profile_caveats(profile, stated.workload, result.prediction),
            *_too_few(stated.workload, requests, replicas),
        ),
        gpu_price_per_h=gpu_price,
    )
    if form == "table":
        click.echo(answer_table(answer, "simulated", painter(), width()), nl=False)
    else:
        click.echo(render({**answer.as_dict(), "requests": result.requests, "seed": seed}, form), nl=False)
    return 0


def _fewer_simulated(replicas: int) -> tuple[str, ...]:
    from models.simulation.replicas import MAX_SIMULATED_REPLICAS

    if replicas <= MAX_SIMULATED_REPLICAS:
        return ()
    return (f"{MAX_SIMULATED_REPLICAS} of the {replicas:,} replicas are simulated, each with its share of the load",)


def _too_few(workload: Workload, requests: int, replicas: int) -> tuple[str, ...]:
    """Where the run ends before it has settled."""
    from models.simulation.replicas import MAX_SIMULATED_REPLICAS

    simulated = min(replicas, MAX_SIMULATED_REPLICAS)
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedArrivals):
        crowd, who = 10 * math.ceil(arrivals.users * simulated / replicas), f"{arrivals.users:,} users"
    else:
        crowd, who = 100 * simulated, f"{replicas:,} replica{'' if replicas == 1 else 's'}"
    if requests >= crowd:
        return ()
    return (f"{requests:,} requests are too few for {who} to come to a steady state: give --requests {crowd} or more",)
