"""`planner controller run`: the control loop, in a cluster or once from a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from models.errors import InvalidInput
from planner.cli.command import Command
from planner.units import parse_seconds

_EPILOG = """\b
Examples (each needs a cluster with Replicast's custom resources, and a Prometheus):
  planner controller run --once --dry-run --prometheus http://localhost:9090
  planner controller run --kubeconfig ~/.kube/config --namespace serving --interval 15s \\
      --prometheus https://prometheus.example --bearer-token-file token \\
      --decision-log decisions.jsonl"""


@click.group("controller", epilog="\b\nExamples:\n  planner controller run --help")
def controller() -> None:
    """The controller that keeps replicas right: advisory unless a policy says Enforce."""


@controller.command("run", cls=Command, epilog=_EPILOG)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="[default: in the cluster, else your own]")
@click.option("--context", help="Context of the kubeconfig.  [default: the current one]")
@click.option("--prometheus", "url", metavar="URL", help="The server that scrapes the engines.")
@click.option("--bearer-token-file", type=click.Path(path_type=Path), help="A token for it; read again every tick.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Authority that signed its certificate (PEM).")
@click.option("--cert-file", type=click.Path(path_type=Path), help="Our own certificate, where it asks for one (PEM).")
@click.option("--key-file", type=click.Path(path_type=Path), help="Its key, where the certificate's file has none.")
@click.option("--scrape-interval", default="15s", show_default=True, help="Of the engines, as Prometheus is set up.")
@click.option("--namespace", default="", help="Namespace of the policies.  [default: all]")
@click.option("--interval", default="15s", show_default=True, help="Between two ticks.")
@click.option("--window", default="1m", show_default=True, help="That rates are taken over.")
@click.option(
    "--once",
    is_flag=True,
    help="One tick, then exit: 1 where a policy could not be decided, 2 where another controller leads (see "
    "--leader-elect).",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing to the cluster, whatever policies say, and stand for no election. --decision-log is kept.",
)
@click.option(
    "--leader-elect/--no-leader-elect",
    default=True,
    show_default=True,
    help="Write only while this process holds the Lease: one of several writes. With --once it is taken for the tick, "
    "and nothing is done where it cannot be had.",
)
@click.option(
    "--lease-namespace",
    default="replicast-system",
    show_default=True,
    help="Where the Lease of the leader is. Controllers for different namespaces need different ones.",
)
@click.option("--listen", metavar="HOST:PORT", help="Answer /metrics, /healthz and /readyz there.")
@click.option("--decision-log", type=click.Path(path_type=Path), help="Add every change of mind to this file (JSONL).")
@click.option(
    "--kill-switch",
    type=click.Path(path_type=Path),
    help="While this file is there, and says anything but `false` or cannot be read, no policy changes replicas; it is "
    "looked at before each write. Status, events and logs go on.",
)
def run(**options: Any) -> int:
    """Observe, decide, act and record, every policy once an interval.

    Policies in Advise mode only get a status. With --once the decisions are printed as sentences.
    """
    from controller.explanation import explanation
    from controller.prometheus import PrometheusSettings
    from controller.prometheus_observer import PrometheusObserver
    from controller.run import Settings
    from controller.run import run as run_controller
    from controller.tls import Tls

    interval_s = _seconds(options["interval"], "--interval", 1.0, 3600.0)
    window_s = _seconds(options["window"], "--window", 5.0, 3600.0)
    if options["url"] is None:
        raise InvalidInput("--prometheus is missing", remedy="such as --prometheus http://prometheus.monitoring:9090")
    tls = Tls(authority=options["ca_file"], certificate=options["cert_file"], key=options["key_file"])
    server = PrometheusSettings(url=options["url"], bearer_token_file=options["bearer_token_file"], tls=tls)
    scrape_s = _seconds(options["scrape_interval"], "--scrape-interval", 1.0, 600.0)
    observer = PrometheusObserver(server, window_s=window_s, scrape_interval_s=scrape_s)
    settings = Settings(
        kubeconfig=options["kubeconfig"],
        context=options["context"],
        namespace=options["namespace"],
        interval_s=interval_s,
        once=options["once"],
        dry_run=options["dry_run"],
        leader_elect=options["leader_elect"],
        lease_namespace=options["lease_namespace"],
        listen=options["listen"],
        decision_log=options["decision_log"],
        kill_switch=options["kill_switch"],
    )
    ticked = run_controller(settings, observer)
    if ticked is None:
        return 0
    click.echo("\n".join(explanation(decision) for decision in ticked.decisions.values()), nl=False)
    if not ticked.decisions and not ticked.unreadable:
        click.echo("there is no CapacityPolicy here", err=True)
    for key, why in ticked.undecided.items():
        click.echo(f"{'/'.join(key)}: not decided: {why}", err=True)
    return 1 if ticked.undecided else 0


def _seconds(text: str, what: str, low: float, high: float) -> float:
    value = parse_seconds(text, what=what)
    if not low <= value <= high:
        raise InvalidInput(f"{what} {text} is out of range", remedy=f"give {low:g} s to {high:g} s")
    return value
