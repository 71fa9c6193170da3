"""`planner compare`: profiles and their variants side by side on one workload, and which to choose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from models.errors import InvalidInput
from models.prediction import Routing
from models.workload import OpenArrivals
from planner.break_even import BreakEven, break_evens, parse_gain, unused_gain
from planner.build_cost import HOURS_A_MONTH, BuildCost
from planner.candidates import candidates_of, chosen_profiles
from planner.cli.batching import question_of
from planner.cli.command import Command
from planner.cli.finite_range import FiniteRange
from planner.cli.options import FORMATS, objective_option, painter, stated_workload, width, workload_options
from planner.comparison import Comparison
from planner.comparison import compare as compare_candidates
from planner.comparison_fields import comparison_fields, comparison_rows
from planner.comparison_row import Candidate, Load
from planner.objective import parse_objectives, unit_warnings
from planner.price_book import load_prices
from planner.price_fields import Pricing
from planner.prices import PriceRule, price_rule
from planner.profile import EngineProfile
from planner.reports.comparison_table import comparison_table
from planner.reports.structured import render
from planner.sizing import MAX_REPLICAS, require_known, require_meaning

_EPILOG = """\b
Examples:
  planner compare --model llama-3.1-8b --qps 40 --input-tokens 512 --output-tokens 128 \\
      --slo 'ttft:p99<=500ms' --slo 'itl:p95<=60ms'
  planner compare --profile llama-3.1-8b-a100-vllm --variants quantization=fp8,awq \\
      --variants gpu=H100-SXM5-80GB --qps 40 --input-tokens 512 --output-tokens 128 \\
      --slo 'ttft:p99<=500ms' --plot front.svg
  planner compare --profile qwen3-32b-h100-vllm-tp2 --trtllm-gain 0.15..0.2 --compile-hours 3 \\
      --releases-per-month 2 --qps 30 --input-tokens 1000 --output-tokens 250 \\
      --slo 'ttft:p99<=1s'"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--profile", "profile_names", multiple=True, metavar="NAME|FILE|GLOB",
              help="A profile file, a shipped one, or several: 'llama-3.1-70b-*'. Repeat.")  # fmt: skip
@click.option("--model", "model_names", multiple=True, metavar="MODEL", help="All shipped profiles of a model. Repeat.")
@click.option("--variants", multiple=True, metavar="WHAT=VALUES",
              help="Variants of each: quantization=fp8,awq, tp=1,2, gpu=L40S-48GB. Repeat: combined.")  # fmt: skip
@workload_options
@objective_option
@click.option("--max-replicas", type=click.IntRange(1, 10_000_000), default=MAX_REPLICAS, show_default=True,
              help="Give up beyond so many.")  # fmt: skip
@click.option(
    "--prices", type=click.Path(path_type=Path), metavar="FILE", help="A price book (YAML), instead of the shipped one."
)
@click.option("--pricing", multiple=True, type=click.Choice([kind.value for kind in Pricing]),
              help="Which prices count; repeat in order of preference.  [default: on_demand]")  # fmt: skip
@click.option("--cloud", help="Prices of this cloud alone.  [default: the cheapest]")
@click.option("--region", help="Prices of this region alone.  [default: the cheapest]")
@click.option(
    "--gpu-price",
    multiple=True,
    metavar="TYPE=USD",
    help="Price of one GPU of a type for an hour, or USD for every type. Repeat.",
)
@click.option("--compile-hours", type=FiniteRange(0.0, 1000.0), default=2.0, show_default=True,
              help="Assumed to build a TensorRT-LLM engine, on the GPUs of a replica.")  # fmt: skip
@click.option(
    "--trtllm-gain",
    metavar="SHARE|LOW..HIGH",
    help="Suppose TensorRT-LLM gives so much more throughput where it is not measured, such as 0.15..0.2.",
)
@click.option("--releases-per-month", type=FiniteRange(0.0, 1000.0), default=0.0, show_default=True,
              help="Versions of the model, each built again: spreads what building costs, and weighs it.")  # fmt: skip
@click.option("--set-up-hours", type=FiniteRange(0.0, 10_000.0), default=0.0, show_default=True,
              help="An engineer's hours for each version built.")  # fmt: skip
@click.option("--engineer-hour", type=FiniteRange(0.0, 10_000.0), default=0.0, show_default=True, metavar="USD",
              help="What such an hour costs.")  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw cost against latency with the Pareto front (.svg or .png)."
)
@click.option(
    "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format."
)
def compare(
    profile_names: tuple[str, ...],
    model_names: tuple[str, ...],
    variants: tuple[str, ...],
    slo: tuple[str, ...],
    max_replicas: int,
    prices: Path | None,
    pricing: tuple[str, ...],
    cloud: str | None,
    region: str | None,
    gpu_price: tuple[str, ...],
    compile_hours: float,
    trtllm_gain: str | None,
    releases_per_month: float,
    set_up_hours: float,
    engineer_hour: float,
    plot: Path | None,
    form: str,
    **options: Any,
) -> int:
    """Profiles side by side on one workload, cheapest first, and which to choose and why.

    Says for each: replicas, GPUs, nodes, cost, latencies, what more the same replicas carry (headroom) and how long
    it takes to set up; whether the difference is more than the profiles' errors; and when building TensorRT-LLM
    engines pays. With --releases-per-month the cost of building every version is weighed too. Variants that are not
    measured are derived from data sheets and marked ESTIMATED. Exit code 1: no profile meets the objectives.
    """
    if not profile_names and not model_names:
        raise InvalidInput("--profile is missing", remedy="name profiles, or all of a --model")
    if not slo:
        raise InvalidInput("no objective is given", remedy="add for example --slo 'ttft:p99<=500ms'")
    if plot is not None:
        from planner.plot import require_drawable

        require_drawable(plot)
    if (set_up_hours > 0.0) != (engineer_hour > 0.0):
        raise InvalidInput(
            "--set-up-hours and --engineer-hour belong together", remedy="say how many hours, and what one costs"
        )
    if compile_hours * releases_per_month > HOURS_A_MONTH:
        raise InvalidInput(
            f"--compile-hours {compile_hours:g} at --releases-per-month {releases_per_month:g}: no version is built "
            "before the next",
            remedy=f"a month has {HOURS_A_MONTH:g} hours: give shorter builds, or fewer releases",
        )
    gains = () if trtllm_gain is None else parse_gain(trtllm_gain)
    today = datetime.now(UTC).date()
    rule = price_rule(load_prices(prices), pricing=pricing, cloud=cloud, region=region, stated=gpu_price, day=today)
    profiles = chosen_profiles(profile_names, model_names)
    load = _load(profiles, options, slo, max_replicas)
    candidates = candidates_of(profiles, variants, least_tokens=_least_tokens(load))
    _require_used(rule, candidates)
    build = BuildCost(
        compile_hours=compile_hours, set_up_hours=set_up_hours, engineer_per_h=engineer_hour,
        releases_per_month=releases_per_month,
    )  # fmt: skip
    found = compare_candidates(candidates, load, rule, build=build)
    paying = break_evens(found.rows, load, rule, build, gains)
    notes = _notes(load, str(rule), candidates)
    notes += unused_gain(found.rows, paying) if gains else []
    if plot is not None:
        _draw(found, plot)
    click.echo(_rendered(found, paying, notes, form), nl=False)
    return 0 if found.feasible else 1


def _load(profiles: Sequence[EngineProfile], options: dict[str, Any], slo: Sequence[str], max_replicas: int) -> Load:
    """The one load of all profiles. Raises InvalidInput where they cannot have one."""
    objectives = parse_objectives(slo)
    batchers = [profile for profile in profiles if profile.spec.engine == "triton"]
    if batchers and len(batchers) < len(profiles):
        other = next(profile for profile in profiles if profile.spec.engine != "triton")
        raise InvalidInput(
            f"{batchers[0].name} is of a dynamic batcher and {other.name} makes tokens: they share no workload",
            remedy="compare dynamic batchers among themselves",
        )
    if batchers:
        questions = [question_of(profile, options, objectives, gpu_price=None) for profile in batchers]
        return Load(
            workload=None, arrivals=questions[0].arrivals, objectives=objectives, routing=questions[0].routing,
            max_replicas=max_replicas, assumptions=questions[0].assumptions,
        )  # fmt: skip
    for profile in profiles:
        profile.to_engine()  # a profile that is wrong in itself is told as such
    routing = Routing(options.pop("routing"))
    stated = stated_workload(options)
    require_meaning(objectives, stated.workload)
    require_known(objectives)
    arrivals = stated.workload.arrivals
    return Load(
        workload=stated.workload,
        arrivals=arrivals if isinstance(arrivals, OpenArrivals) else None,
        objectives=objectives,
        routing=routing,
        max_replicas=max_replicas,
        assumptions=stated.assumptions,
    )


def _require_used(rule: PriceRule, candidates: Sequence[Candidate]) -> None:
    """Refuse a stated price that no row would use: a misspelt type would silently leave the book's."""
    types = sorted({each.gpu for each in candidates})
    for name in rule.stated:
        if name != "*" and name not in [each.lower() for each in types]:
            raise InvalidInput(
                f"--gpu-price names {name[:60]}, and no profile here is of that GPU",
                remedy=f"these are here: {', '.join(types)}",
            )


def _least_tokens(load: Load) -> int:
    """Tokens of KV that the longest request takes."""
    if load.workload is None:
        return 1
    lengths = load.workload.lengths
    return int(lengths.prompt.values[-1] + lengths.output.values[-1])


def _notes(load: Load, rule: str, candidates: Sequence[Candidate]) -> list[str]:
    notes = [*load.assumptions, *unit_warnings(load.objectives), f"prices: {rule}; a price is of the GPUs in use"]
    if any(each.estimated for each in candidates):
        notes.append("the loss of quality by quantisation is not modelled: evaluate the model before you choose")
    return notes


def _rendered(found: Comparison, paying: Sequence[BreakEven], notes: Sequence[str], form: str) -> str:
    if form == "table":
        return comparison_table(found, paying, notes, painter(), width())
    if form == "csv":
        return render(comparison_rows(found), form, complete=False)
    return render(comparison_fields(found, paying, notes), form)


def _draw(found: Comparison, path: Path) -> None:
    from planner.comparison_plot import draw_comparison

    if found.axis is None or not any(on is not None for on in found.pareto):
        click.echo(f"{path} is not drawn: no plan with a price", err=True)
        return
    draw_comparison(found, path)
    click.echo(f"drew {path}", err=True)
