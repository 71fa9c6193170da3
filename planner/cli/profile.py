"""`planner profile`: list, show and check measured profiles."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

import click

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
    """Measured profiles of engines: what ships, what is in one, whether its figures can be true, and how to get one."""


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
    sheet, the step time against its own points, source and age. Each finding says what it means for a plan and what to
    do.

    Exit code 0: no contradiction (there may be warnings and notes); 1: figures that cannot all be true; 2: bad input.
    """
    from planner.cli.options import painter
    from planner.profile import load_profile
    from planner.profile_check import check as findings_of
    from planner.profile_check import is_fit, subject_of
    from planner.reports.profile_table import check_table

    today = as_of.date() if as_of else _today()
    reports: list[dict[str, Any]] = []
    texts: list[str] = []
    for name in names:
        found = load_profile(name)
        findings = findings_of(subject_of(found), today)
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


def _print(fields: dict[str, Any] | list[dict[str, Any]], form: Literal["json", "yaml"]) -> None:
    from planner.reports.structured import render

    click.echo(render(fields, form), nl=False)


def _today() -> date:
    return datetime.now(tz=UTC).date()
