"""`planner size --topology`."""

from __future__ import annotations

from pathlib import Path

import click

from models.errors import NoFeasiblePlan
from planner.cli.options import painter, width
from planner.reports.structured import render


def size_topology(path: Path, form: str) -> int:
    """Size the services of the file together; 1 where an objective or the budget does not hold."""
    from planner.reports.topology_table import topology_table
    from planner.topology import plan_topology
    from planner.topology_document import document, rows
    from planner.topology_file import read_topology

    try:
        plan = plan_topology(read_topology(path))
    except NoFeasiblePlan as error:  # a model that fits on no such layout
        if form != "table":
            told = {"kind": "TopologyPlan", "feasible": False, "reason": str(error), "remedy": error.remedy}
            click.echo(render(told, form), nl=False)
        raise
    if form == "table":
        click.echo(topology_table(plan, painter(), width()), nl=False)
    else:
        click.echo(render(rows(plan) if form == "csv" else document(plan), form), nl=False)
    return 0 if plan.feasible else 1
