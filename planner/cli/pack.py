"""`planner pack`: several models on shared GPUs, for least cost."""

from __future__ import annotations

import time
from pathlib import Path

import click

from planner.cli.command import Command

_EPILOG = """\b
Examples:
  planner pack models.yaml
  planner pack models.yaml --time-limit 30s -o json
  planner pack models.yaml -o csv > placement.csv"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--time-limit", default="10s", show_default=True, help="Of it all; the search has half of it at least.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml", "csv"]), default="table",
              show_default=True, help="Output format; csv has a row for each replica on a GPU.")  # fmt: skip
def pack(file: Path, time_limit: str, form: str) -> None:
    """Which models stand on which GPUs: least cost, then fewest GPUs, with every objective met.

    FILE lists models (profile, rate, objectives, memory, antiAffinity, minReplicas) and GPUs (type, count, price, MIG
    slices, time sharing). Memory is a hard bound. The placement is checked anew, and what blocks a tighter one is
    found by solving without it. Exit code 1: it cannot be placed, with the model or the GPUs that lack.
    """
    from models.errors import InvalidInput, NoFeasiblePlan
    from planner.cli.options import painter, width
    from planner.cli.quiet_library import quiet_library
    from planner.packing_blocking import blocking, one_fewer
    from planner.packing_document import no_pack_row, no_packing, pack_document, pack_rows
    from planner.packing_fields import read_pack
    from planner.packing_plan import SHARE_OF_SEARCH, ask
    from planner.packing_plan import pack as packed
    from planner.packing_tenant import gpu_kinds, tenants
    from planner.reports.packing_table import packing_table
    from planner.reports.structured import render
    from planner.units import parse_seconds

    limit = parse_seconds(time_limit, what="--time-limit")
    if not 0.1 <= limit <= 3600.0:
        raise InvalidInput("--time-limit is out of range", remedy="give 0.1s to 1h")
    read = read_pack(file)
    try:
        with quiet_library():
            start = time.monotonic()
            question = ask(read, file, gpu_kinds(read, f"file {file}"), tenants(read, file))
            sized = time.monotonic()
            limit = max(0.5 * limit, limit - (sized - start))
            plan = packed(question, time_limit_s=limit, clock=time.monotonic)
            left = max((1.0 - SHARE_OF_SEARCH) * limit, limit - (time.monotonic() - sized))
            blocks = blocking(plan, time_limit_s=left, clock=time.monotonic)
    except NoFeasiblePlan as error:
        if form != "table":
            lacking = no_packing(error)
            click.echo(render(no_pack_row(lacking) if form == "csv" else lacking, form, complete=False), nl=False)
        raise
    document = pack_document(plan, one_fewer(plan), blocks)
    if form == "table":
        click.echo(packing_table(document, painter(), width()), nl=False)
    else:
        click.echo(render(pack_rows(document) if form == "csv" else document, form, complete=False), nl=False)
