"""`planner profile`: import, fit, list, show and check measured profiles; learn one from an engine in service."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import click

from planner.cli.from_prometheus import from_prometheus
from planner.cli.profile_sweep import sweep

Format = Literal["table", "json", "yaml"]

_output = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print.",
)


def _examples(*commands: str) -> str:
    """The examples at the end of a help page, one a line."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


@click.group(
    epilog=_examples(
        "planner profile list --gpu h200",
        "planner profile show llama-3.1-8b-a100-vllm",
        "planner profile check my-profile.yaml",
        "planner profile sweep --help",
    )
)
def profile() -> None:
    """Measured profiles of engines: what ships, what is in one, whether it can be true; and one of your own."""


profile.add_command(sweep)


@profile.command(
    "list",
    epilog=_examples(
        "planner profile list",
        "planner profile list --model llama --gpu h100",
        "planner profile list --engine vllm -o json",
    ),
)
@click.option("--engine", default="", help="Only engines whose name contains this.")
@click.option("--model", default="", help="Only models whose name contains this.")
@click.option("--gpu", default="", help="Only GPU types whose name contains this.")
@_output
def list_(engine: str, model: str, gpu: str, form: Format) -> None:
    """List the profiles that ship with Replicast."""
    from planner.profile import catalogue_names, load_profile
    from planner.reports.profile_table import list_table

    wanted = [
        entry
        for entry in map(load_profile, catalogue_names())
        if engine.lower() in entry.spec.engine
        and model.lower() in entry.spec.model.lower()
        and gpu.lower() in entry.spec.gpu.type.lower()
    ]
    if form == "table":
        click.echo(list_table(wanted) if wanted else "no profile matches\n", nl=False)
        return
    rows = []
    for entry in wanted:
        origin = entry.spec.provenance[0] if entry.spec.provenance else None
        rows.append(
            {
                "name": entry.name,
                "engine": entry.spec.engine,
                "engineVersion": entry.spec.engine_version,
                "model": entry.spec.model,
                "quantization": entry.spec.quantization,
                "gpu": entry.spec.gpu.model_dump(by_alias=True),
                "points": len(entry.spec.measurements),
                "crossValidatedError": origin.cross_validated_error if origin else None,
            }
        )
    _print(rows, form)


@profile.command(
    epilog=_examples(
        "planner profile show llama-3.1-8b-a100-vllm",
        "planner profile show ./my-profile.yaml",
        "planner profile show qwen3-32b-h100-vllm-tp2 -o yaml > mine.yaml",
    )
)
@click.argument("name")
@_output
def show(name: str, form: Format) -> None:
    """Show the profile NAME: one that ships, or a file.

    The table sets each measured point beside what the step time gives there.
    """
    from planner.profile import load_profile
    from planner.reports.profile_table import show_table

    found = load_profile(name)
    if form == "table":
        click.echo(show_table(found), nl=False)
        return
    _print(found.model_dump(mode="json", by_alias=True, exclude_unset=True), form)


@profile.command(
    epilog=_examples(
        "planner profile check llama-3.1-8b-a100-vllm",
        "planner profile check *.yaml -o json",
        "planner profile check my-profile.yaml --as-of 2026-06-30",
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Judge age as of this day instead of today.")
@_output
@click.pass_context
def check(ctx: click.Context, names: tuple[str, ...], as_of: datetime | None, form: Format) -> None:
    """Check whether the figures of profiles can be true.

    Little's law, tokens per second against requests per second, percentiles in order, requests that failed or were not
    served at the rate asked for, curves that fall, models and KV memory that do not fit, speeds beyond the GPU's data
    sheet, the step time against its own points, source and age; of Triton's batchers the times of batches, their
    variation and the queue delay. Each finding says what it means for a plan and what to
    do.

    Exit code 0: no contradiction (there may be warnings and notes); 1: figures that cannot all be true; 2: bad input.
    """
    from planner.cli.options import painter
    from planner.profile import load_profile
    from planner.profile_check import check_profile, is_fit
    from planner.reports.profile_table import check_table

    today = as_of.date() if as_of else _today()
    reports: list[dict[str, Any]] = []
    texts: list[str] = []
    for name in names:
        found = load_profile(name)
        findings = check_profile(found, today)
        reports.append(
            {
                "profile": found.name,
                "fit": is_fit(findings),
                "findings": [
                    {
                        "severity": finding.severity.value,
                        "code": finding.code,
                        "where": finding.where,
                        "what": finding.what,
                        "meaning": finding.meaning,
                        "remedy": finding.remedy,
                    }
                    for finding in findings
                ],
            }
        )
        if form == "table":
            texts.append(check_table(found.name, findings, painter()))
    if form == "table":
        click.echo("\n".join(texts), nl=False)
    else:
        _print(reports[0] if len(reports) == 1 else reports, form)
    ctx.exit(0 if all(report["fit"] for report in reports) else 1)


@profile.command(
    "import",
    epilog=_examples(
        "planner profile import closed_c*.json open_*.json --engine vllm --gpu L4-24GB -O l4.yaml",
        "planner profile import points.csv --engine vllm --model my-model --gpu L4-24GB -O l4.yaml",
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--engine", type=click.Choice(["vllm", "triton-trtllm"]), help="The engine that was measured.")
@click.option("--engine-version", help="Its version.")
@click.option("--model", help="The model's published name; goes before what files call it.")
@click.option("--quantization", help="Such as fp8, awq; none: 16 bits.")
@click.option("--gpu", help="GPU type, such as H100-SXM5-80GB (`planner profile list` shows more).")
@click.option("--gpus-per-replica", type=click.IntRange(1, 4096), help="GPUs of the measured engine.  [default: 1]")
@click.option("--tensor-parallel", type=click.IntRange(1, 4096), help="Of them in tensor parallel.  [default: all]")
@click.option("--max-num-seqs", type=click.IntRange(1, 100_000),
              help="Most running sequences, as the engine was started.  [default: 256]")  # fmt: skip
@click.option("--max-num-batched-tokens", type=click.IntRange(1, 100_000_000),
              help="Token budget of a step.  [default: 2048]")  # fmt: skip
@click.option("--kv-cache-tokens", type=click.IntRange(1, 10**12),
              help="KV memory as the engine reports it at start-up.  [default: estimated]")  # fmt: skip
@click.option("--kv-block-size", type=click.IntRange(1, 65536), default=16, show_default=True, help="Tokens a block.")
@click.option(
    "--chunked-prefill/--no-chunked-prefill", default=True, show_default=True, help="Whether prompts are split."
)
@click.option("--name", help="The profile's name.  [default: from the output file]")
@click.option("-O", "--out", type=click.Path(path_type=Path), required=True, help="The profile to write (YAML).")
def import_(
    files: tuple[Path, ...],
    engine: Any,
    engine_version: str | None,
    model: str | None,
    quantization: str | None,
    gpu: str | None,
    gpus_per_replica: int | None,
    tensor_parallel: int | None,
    max_num_seqs: int | None,
    max_num_batched_tokens: int | None,
    kv_cache_tokens: int | None,
    kv_block_size: int,
    chunked_prefill: bool,
    name: str | None,
    out: Path,
) -> None:
    """Make a profile of benchmark results: whatever tool wrote FILE, by its content.

    Several files of one engine make one profile. What each run measured, which step time fits it and how far it
    misses each run is shown; and on stderr what is doubtful about the runs: requests that failed, clients that did not
    keep up, cold engines, clocks. Nothing is written where a file cannot be read.
    """
    from models.engine import EngineLimits
    from planner.cli.options import painter
    from planner.files import require_writable, write_atomically
    from planner.importers.benchmark_run import SetUp
    from planner.profile_check import check, subject_of
    from planner.profile_document import text_of
    from planner.profile_import import import_profile, require_no_input
    from planner.reports.fit_table import fit_table, notes_text
    from planner.reports.profile_table import check_table
    from planner.run_check import check_runs

    require_writable(out, what="--out")
    require_no_input(out, files)
    stated_limits = {
        option: value
        for option, value in (
            ("max_num_seqs", max_num_seqs),
            ("max_num_batched_tokens", max_num_batched_tokens),
        )
        if value is not None
    }
    imported = import_profile(
        files,
        name=name or out.name.removesuffix(".yaml").removesuffix(".yml"),
        stated=SetUp(
            engine=engine,
            engine_version=engine_version,
            model=model,
            quantization=quantization,
            gpu=gpu,
            gpus_per_replica=gpus_per_replica,
            tensor_parallel=tensor_parallel,
        ),
        limits=EngineLimits(
            kv_cache_tokens=kv_cache_tokens,
            kv_block_size=kv_block_size,
            chunked_prefill=chunked_prefill,
            **stated_limits,
        ),
        limits_stated=len(stated_limits) == 2,
    )
    write_atomically(out, text_of(imported.document).encode("utf-8"))
    click.echo(fit_table(imported.fit), nl=False)
    click.echo(notes_text(imported.notes), nl=False)
    doubts = check_runs(imported.runs)
    told = {finding.code for finding in doubts}
    doubts += tuple(each for each in check(subject_of(imported.profile), _today()) if each.code not in told)
    if doubts:
        click.echo(f"\n{check_table('the runs and the fit', doubts, painter())}", nl=False, err=True)
    click.echo(f"\nwrote {out}: `planner profile fit {out} --plot fit.svg` draws it")


@profile.command(
    epilog=_examples(
        "planner profile fit qwen3-32b-h100-vllm-tp2",
        "planner profile fit my-profile.yaml --plot fit.svg",
        "planner profile fit my-profile.yaml -o json",
    )
)
@click.argument("name")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw points, curves and bands (.svg or .png).")
@_output
def fit(name: str, plot: Path | None, form: Format) -> None:
    """Fit the step time of the profile NAME to its measurements again, and show how far it misses each.

    Nothing is written: `planner profile import` makes profiles.
    """
    from planner.profile import load_profile
    from planner.profile_fit import fit_profile
    from planner.reports.fit_table import fit_fields, fit_table

    if plot is not None:
        from planner.plot import require_drawable

        require_drawable(plot)
    found = load_profile(name)
    result = fit_profile(found)
    if plot is not None:
        from planner.fit_plot import draw_fit

        draw_fit(found, result, plot)
    if form == "table":
        click.echo(fit_table(result), nl=False)
    else:
        _print(fit_fields(found.name, result), form)


def _print(fields: dict[str, Any] | list[dict[str, Any]], form: Literal["json", "yaml"]) -> None:
    from planner.reports.structured import render

    click.echo(render(fields, form), nl=False)


def _today() -> date:
    return datetime.now(tz=UTC).date()


profile.add_command(from_prometheus)
