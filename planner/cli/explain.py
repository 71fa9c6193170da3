"""`planner explain`: the last decision on a policy, as a person would tell it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors import InvalidInput
from planner.cli.command import Command

if TYPE_CHECKING:
    from controller.decision_log import Entry
    from planner.profile import EngineProfile

_EPILOG = """\b
Examples (the file is one that `planner controller run --decision-log` wrote):
  planner explain serving/chat --decision-log decisions.jsonl
  planner explain serving/chat --decision-log decisions.jsonl --at 2027-01-15T08:05:00 --replay"""


@click.command("explain", cls=Command, epilog=_EPILOG)
@click.argument("policy", metavar="NAMESPACE/POLICY")
@click.option(
    "--decision-log", "log", type=click.Path(path_type=Path), required=True, help="Where decisions were kept."
)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]), help="The decision in force then, in UTC.  [default: the last]"
)
@click.option("--replay", is_flag=True, help="Decide again on what was seen: the same must come out.")
def explain(policy: str, log: Path, at: object, replay: bool) -> int:
    """Tell what was decided on a policy last, and why.

    With --replay the recorded snapshot is decided on again; exit code 1 where another decision comes out.
    """
    from controller.decision_log import as_it_came, replayed
    from controller.explanation import explanation

    entry, profile = _found(policy, log, at)
    click.echo(explanation(as_it_came(entry)), nl=False)
    if entry.decision.write is not None and not entry.written and not entry.error:
        click.echo("\nIt was not made: this process was not the leader, or ran with --dry-run.")
    if not replay:
        return 0
    same = replayed(entry, profile) == entry.decision
    click.echo("\nReplayed: the same decision." if same else "\nReplayed: another decision comes out now.")
    return 0 if same else 1


def _found(policy: str, log: Path, at: object) -> tuple[Entry, EngineProfile | None]:
    from datetime import UTC, datetime

    from controller.decision_log import read_entries

    if not log.is_file():
        raise InvalidInput(f"decision log {log} is not a file", remedy="name the file of --decision-log")
    until_s = at.replace(tzinfo=UTC).timestamp() if isinstance(at, datetime) else float("inf")
    found, known = None, set()
    for entry, profile in read_entries(log):
        known.add(entry.snapshot.policy)
        if entry.snapshot.policy == policy and entry.snapshot.now_s <= until_s:
            found = (entry, profile)
    if found is None:
        others = ", ".join(sorted(known)[:10]) or "none"
        raise InvalidInput(f"decision log {log} has no decision on {policy} then", remedy=f"it has: {others}")
    return found
