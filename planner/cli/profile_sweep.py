"""`planner profile sweep`: write the benchmark that would make a good profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange

if TYPE_CHECKING:
    from planner.profile import EngineProfile
    from planner.sweep.plan import MeasuredSetUp, Sweep
    from planner.sweep.planned_run import PlannedRun
    from planner.sweep.target import SweptEngine

_EPILOG = """\b
Examples:
  planner profile sweep --tool vllm-bench --gpu H100-SXM5-80GB \\
      --model meta-llama/Llama-3.1-8B-Instruct --input-tokens 512 --output-tokens 128 > sweep.sh
  planner profile sweep --tool genai-perf --engine triton-trtllm --profile llama-3.1-8b-a100-vllm \\
      --concurrency 32 --input-tokens 512 --output-tokens 128
  planner profile sweep --tool guidellm --profile my.yaml --url http://llama.serving:8000 \\
      --input-tokens 2000 --output-tokens 300 --format job --image guidellm:0.8 --results-claim sweeps"""

_DEFAULT = ParameterSource.DEFAULT
_DEFAULT_URL = {"vllm": "http://localhost:8000", "triton-trtllm": "localhost:8001"}


@click.command("sweep", cls=Command, epilog=_EPILOG)
@click.option(
    "--profile", "profile_name", metavar="NAME|FILE", help="A profile of this engine or its like to design by."
)
@click.option("--gpu", help="GPU type, such as H100-SXM5-80GB: design by data sheets instead of a profile.")
@click.option("--model", help="Model, such as meta-llama/Llama-3.1-8B-Instruct.")
@click.option("--quantization", help="Precision of the weights, such as fp8.  [default: none]")
@click.option("--gpus-per-replica", type=click.IntRange(1, 4096), help="GPUs of one replica.  [default: 1]")
@click.option("--max-num-seqs", type=click.IntRange(1, 100_000), help="Most sequences that run at a time.")
@click.option("--max-num-batched-tokens", type=click.IntRange(1, 100_000_000), help="Token budget of a step.")
@click.option(
    "--engine", type=click.Choice(["vllm", "triton-trtllm"]), help="Engine.  [default: the profile's, or vllm]"
)
@click.option(
    "--tool",
    required=True,
    type=click.Choice(["vllm-bench", "genai-perf", "aiperf", "guidellm"]),
    help="The benchmark tool to write commands for; Triton needs genai-perf.",
)
@click.option("--url", help="http://host:port of vLLM, host:port of Triton's gRPC.  [default: localhost]")
@click.option("--served-model", help="The model's name in requests.  [default: the model; Triton: ensemble]")
@click.option("--tokenizer", help="Tokenizer's name or folder.  [default: the model]")
@click.option(
    "--input-tokens", type=click.IntRange(1, 10_000_000), required=True, help="Prompt length of the workload."
)
@click.option(
    "--output-tokens", type=click.IntRange(2, 10_000_000), required=True, help="Answer length of the workload."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 100_000), multiple=True, help="Measure so many users instead. Repeatable."
)
@click.option(
    "--qps",
    type=FiniteRange(1e-3, 1e5),
    multiple=True,
    help="Measure this rate instead. Repeatable.",
)
@click.option(
    "--noise", type=FiniteRange(0.002, 0.5), default=0.03, show_default=True,
    help="Relative standard error wanted of mean TPOT and TTFT: sizes the runs.",
)  # fmt: skip
@click.option(
    "--worth", type=FiniteRange(0.01, 0.9), default=0.15, show_default=True,
    help="Add points while one raises the precision of the terms (geometric mean) by this share.",
)  # fmt: skip
@click.option("--most-points", type=click.IntRange(4, 60), default=16, show_default=True, help="Never more points.")
@click.option("--format", "form", type=click.Choice(["script", "job"]), default="script", show_default=True,
              help="A shell script, or a Kubernetes Job.")  # fmt: skip
@click.option("--image", help="Image with the tool and bash.  [job]")
@click.option("--results-claim", help="PersistentVolumeClaim that keeps the results.  [job]")
@click.option("--namespace", help="Namespace.  [job]")
@click.option("--token-secret", help="Secret whose key `token` lets the tokenizer be downloaded.  [job]")
@click.option("-O", "--output-file", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
def sweep(form: Literal["script", "job"], output_file: Path | None, **options: Any) -> None:
    """Write the benchmark that would make a good profile.

    The fewest loads (users or rate, by prompt and answer length) that pin the step time: D-optimal in its terms, with a
    quiet load, a full one and open-loop ones always among them. Runs are sized for the noise wanted and draw new
    prompts each time. `planner profile import` reads the results back.
    """
    from planner.files import require_writable, write_atomically

    if output_file is not None:
        require_writable(output_file, what="-O")
    _require_no_idle(options)
    made = _sweep(options)
    text = _written(made, form, options)
    if output_file is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output_file, text.encode())
    if _guessed(options):
        click.echo(
            "note: rates rest on data sheets; where the engine turns out slower, open runs overload it: import",
            err=True,
        )
        click.echo("  what there is, and sweep again with --profile", err=True)
    for run in made.runs:
        click.echo(f"  {run.load}: {run.requests:,} requests{_lasting(run)}", err=True)


def _require_no_idle(options: dict[str, Any]) -> None:
    """Refuse options of a design where the loads are stated."""
    from models.errors import InvalidInput

    if not (options["concurrency"] or options["qps"]):
        return
    source = click.get_current_context().get_parameter_source
    idle = [f"--{name.replace('_', '-')}" for name in ("worth", "most_points") if source(name) is not _DEFAULT]
    if idle:
        raise InvalidInput(
            f"{', '.join(idle)}: there is nothing to choose where --concurrency or --qps state the loads",
            remedy="drop it, or the stated loads",
        )


def _guessed(options: dict[str, Any]) -> bool:
    """Whether open rates were chosen without any measurement."""
    return not (options["profile_name"] or options["concurrency"] or options["qps"])


def _lasting(run: PlannedRun) -> str:
    return "" if run.expected_s is None else f", about {run.expected_s:,.0f} s"


def _written(made: Sweep, form: Literal["script", "job"], options: dict[str, Any]) -> str:
    from models.errors import InvalidInput

    only_of_jobs = {"--image": options["image"], "--results-claim": options["results_claim"]}
    others = {"--namespace": options["namespace"], "--token-secret": options["token_secret"]}
    if form == "script":
        from planner.sweep.script import script

        idle = [name for name, value in {**only_of_jobs, **others}.items() if value is not None]
        if idle:
            raise InvalidInput(
                f"{', '.join(idle)} means something only to a Job", remedy="add --format job, or drop it"
            )
        return script(made)
    from planner.sweep.job import JobOptions, job

    missing = [name for name, value in only_of_jobs.items() if value is None]
    if missing:
        raise InvalidInput(
            f"a Job needs {' and '.join(missing)}",
            remedy="name an image that has the tool, and a claim on a volume that outlives the Job to keep the results",
        )
    return job(
        made,
        JobOptions(
            image=options["image"],
            claim=options["results_claim"],
            namespace=options["namespace"],
            token_secret=options["token_secret"],
        ),
    )


def _sweep(options: dict[str, Any]) -> Sweep:
    """The sweep that the options ask for."""
    from planner.profile import load_profile
    from planner.sweep.plan import Sweep
    from planner.sweep.target import Target

    profile = load_profile(options["profile_name"]) if options["profile_name"] else None
    setup = _setup(options, profile)
    engine = _engine(options["tool"], options["engine"] or (profile.spec.engine if profile else "vllm"))
    served = options["served_model"] or (setup.model if engine == "vllm" else "ensemble")
    target = Target(
        engine=engine,
        url=options["url"] or _DEFAULT_URL[engine],
        served_model=served,
        tokenizer=options["tokenizer"] or setup.model,
    )
    runs, reason = _runs(options, profile, setup)
    return Sweep(tool_name=options["tool"], target=target, setup=setup, runs=runs, reason=reason)


def _engine(tool: str, engine: str) -> SweptEngine:
    """The engine, once it is one that a sweep can measure with this tool."""
    from models.errors import InvalidInput
    from planner.sweep.benchmark_tool import TOOLS, benchmark_tool

    if engine not in ("vllm", "triton-trtllm"):
        raise InvalidInput(
            "this profile is of Triton's dynamic batcher, whose models have no tokens",
            remedy="measure it with perf_analyzer; for a language model give --engine triton-trtllm",
        )
    if engine not in benchmark_tool(tool).ENGINES:
        able = [name for name in TOOLS if engine in benchmark_tool(name).ENGINES]
        raise InvalidInput(f"{tool} does not speak Triton's gRPC", remedy=f"give --tool {' or '.join(able)}")
    return "vllm" if engine == "vllm" else "triton-trtllm"


def _setup(options: dict[str, Any], profile: EngineProfile | None) -> MeasuredSetUp:
    from models.errors import InvalidInput
    from planner.sweep.plan import MeasuredSetUp

    spec = None if profile is None else profile.spec
    model = options["model"] or (spec.model if spec else None)
    if model is None:
        raise InvalidInput("neither --profile nor --model says what to measure", remedy="give one of them")
    return MeasuredSetUp(
        model=model,
        gpu=options["gpu"] or (spec.gpu.type if spec else None),
        gpus_per_replica=options["gpus_per_replica"] or (spec.gpu.per_replica if spec else 1),
        quantization=options["quantization"] or (spec.quantization if spec else "none"),
        max_num_seqs=options["max_num_seqs"] or (spec.limits.max_num_seqs if spec else None),
        max_num_batched_tokens=options["max_num_batched_tokens"]
        or (spec.limits.max_num_batched_tokens if spec else None),
    )


def _runs(
    options: dict[str, Any], profile: EngineProfile | None, setup: MeasuredSetUp
) -> tuple[tuple[PlannedRun, ...], str]:
    """The loads stated, or designed; and why these."""
    from models.errors import InvalidInput
    from models.measurement import Measurement
    from models.sweep_design import Lengths, Load, design_loads, expected_load
    from planner.sweep.benchmark_tool import benchmark_tool
    from planner.sweep.expectation import Expectation, in_catalogue, of_data_sheets, of_profile
    from planner.sweep.planned_run import plan_runs

    warms_up = benchmark_tool(options["tool"]).WARMS_UP
    lengths = {"input_tokens": options["input_tokens"], "output_tokens": options["output_tokens"]}
    stated = [Measurement(concurrency=users, **lengths) for users in options["concurrency"]]
    stated += [Measurement(arrival_rate_per_s=rate, **lengths) for rate in options["qps"]]
    expectation: Expectation | None = None
    bounds = {name: options[name] for name in ("max_num_seqs", "max_num_batched_tokens")}
    if profile is not None:
        expectation = of_profile(profile, **bounds)
    elif setup.gpu is not None and (not stated or in_catalogue(setup.gpu, setup.model)):
        expectation = of_data_sheets(
            gpu_name=setup.gpu,
            model=setup.model,
            quantization=setup.quantization,
            gpus=setup.gpus_per_replica,
            **bounds,
        )
    if stated:
        known: list[Load | Measurement] = list(stated)
        if expectation is not None:
            known = [expected_load(load, expectation.prior, expectation.limits) for load in stated]
        return plan_runs(known, noise=options["noise"], warms_up=warms_up), "The loads that were asked for."
    if expectation is None:
        raise InvalidInput(
            "without --profile or --gpu nothing tells which loads to measure",
            remedy="give one of them, or state the loads with --concurrency or --qps",
        )
    loads = design_loads(
        expectation.prior,
        expectation.limits,
        Lengths(**lengths, longest=expectation.longest),
        worth=options["worth"],
        most=options["most_points"],
    )
    reason = f"Loads D-optimal in the terms of the step time, by {expectation.prior.source}."
    return plan_runs(loads, noise=options["noise"], warms_up=warms_up), reason
