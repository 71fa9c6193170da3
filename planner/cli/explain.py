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
Examples (the first two ask the cluster; the file is one that `planner controller run --decision-log` wrote):
  planner explain chat --namespace serving
  planner explain serving/chat --kubeconfig ~/.kube/config --context production
  planner explain serving/chat --decision-log decisions.jsonl
  planner explain serving/chat --decision-log decisions.jsonl --at 2027-01-15T08:05:00 --replay"""

_MOST_NAMED = 10


@click.command("explain", cls=Command, epilog=_EPILOG)
@click.argument("policy", metavar="[NAMESPACE/]POLICY")
@click.option(
    "--decision-log",
    "log",
    type=click.Path(path_type=Path),
    help="Where decisions were kept, with what was rotated away.  [default: the policy's status in the cluster]",
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]),
    help="The decision in force then, in UTC; needs --decision-log.  [default: the last]",
)
@click.option("--replay", is_flag=True, help="Decide again on what was seen: the same must come out.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="[default: in the cluster, else your own]")
@click.option("--context", help="Context of the kubeconfig.  [default: the current one]")
@click.option("--namespace", default="", help="Namespace of the policy.  [default: the context's]")
def explain(
    policy: str,
    log: Path | None,
    at: object,
    replay: bool,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
) -> int:
    """Tell what was decided on a policy last, and why.

    Without --decision-log that is what the policy's status and its recent events in the cluster tell. With --replay the
    recorded snapshot is decided on again; exit code 1 where another decision comes out, or nothing has been decided.
    """
    if log is not None:
        return _from_log(policy if "/" in policy or not namespace else f"{namespace}/{policy}", log, at, replay)
    if at is not None or replay:
        option = "--replay" if replay else "--at"
        raise InvalidInput(
            f"{option} needs what was seen then, which the status of a policy does not hold",
            remedy="give --decision-log",
        )
    return _from_cluster(policy, namespace, kubeconfig, context)


def _from_cluster(policy: str, namespace: str, kubeconfig: Path | None, context: str | None) -> int:
    import time

    from controller.policy_in_cluster import policy_in_cluster
    from controller.status_explanation import status_explanation

    found = policy_in_cluster(policy, namespace=namespace, kubeconfig=kubeconfig, context=context)
    click.echo(status_explanation(found, time.time()), nl=False)
    return 0 if (found.document.get("status") or {}).get("lastDecisionTime") else 1


def _from_log(policy: str, log: Path, at: object, replay: bool) -> int:
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

    from controller.decision_log import files_of, read_entries

    if not files_of(log):
        raise InvalidInput(f"decision log {log} is not a file", remedy="name the file of --decision-log")
    until_s = at.replace(tzinfo=UTC).timestamp() if isinstance(at, datetime) else float("inf")
    found, known, odd = None, set(), _LinesAside()
    for entry, profile in read_entries(log, odd.tell):
        known.add(entry.snapshot.policy)
        if entry.snapshot.policy == policy and entry.snapshot.now_s <= until_s:
            found = (entry, profile)
    odd.tell_how_many()
    if found is None and odd.count and not known:
        raise InvalidInput(
            f"decision log {log} holds no decision",
            remedy="give a file that `planner controller run --decision-log` wrote",
        )
    if found is None:
        others = ", ".join(sorted(known)[:10]) or "none"
        raise InvalidInput(f"decision log {log} has no decision on {policy} then", remedy=f"it has: {others}")
    return found


class _LinesAside:
    """Lines that are no decision: the first are named, all are counted."""

    count = 0

    def tell(self, text: str) -> None:
        self.count += 1
        if self.count <= _MOST_NAMED:
            click.echo(f"warning: {text}", err=True)

    def tell_how_many(self) -> None:
        if self.count > _MOST_NAMED:
            click.echo(f"warning: and {self.count - _MOST_NAMED} more lines", err=True)
