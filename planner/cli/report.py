"""`planner report`: GPU-hours needed, allocated and idle, what they cost, and what to buy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors import InvalidInput
from planner.cli.command import Command

if TYPE_CHECKING:
    from planner.capacity_report.gathered import Gathering
    from planner.capacity_report.period import Period
    from planner.capacity_report.service_record import Accounted, ServiceRecord
    from planner.metrics_server import MetricsServer

_EPILOG = """\b
Examples:
  planner report --period 2026-10 --fleet fleet.yaml -o report.xlsx -o report.html
  planner report --period 2026-Q3 --fleet fleet.yaml --prices prices.yaml --currency EUR \\
      --time-zone Europe/Berlin -o report.md -o report.focus.csv"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option("--period", "period_text", required=True, metavar="PERIOD",
              help="A month, quarter or year: 2026-10, 2026-Q4, 2026.")  # fmt: skip
@click.option("--fleet", "fleet_path", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="The workloads: profile, objectives, team, cluster, and where the history of each is.")  # fmt: skip
@click.option("--prices", type=click.Path(path_type=Path), metavar="FILE",
              help="A price book (YAML), instead of the shipped one.")  # fmt: skip
@click.option("--prometheus", "url", metavar="URL", help="The server that scraped the engines, for histories there.")
@click.option("--bearer-token-file", type=click.Path(path_type=Path), help="File with a token for it.")
@click.option("--time-zone", default="UTC", show_default=True, help="Whose midnights bound the period and its days.")
@click.option("--resolution", default="1h", show_default=True, help="Length of a slot: 5m, 10m, 15m, 20m, 30m or 1h.")
@click.option("--currency", metavar="CODE", help="Of the report.  [default: the price book's]")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The last day of the report, on those clocks.  "
              "[default: today]")  # fmt: skip
@click.option("-o", "--output", "outputs", type=click.Path(path_type=Path), multiple=True, required=True,
              help="A file to write, its format by its name: .xlsx .html .md .csv .json .focus.csv. "
                   "Repeat.")  # fmt: skip
def report(
    period_text: str,
    fleet_path: Path,
    prices: Path | None,
    url: str | None,
    bearer_token_file: Path | None,
    time_zone: str,
    resolution: str,
    currency: str | None,
    as_of: datetime | None,
    outputs: tuple[Path, ...],
) -> None:
    """Account for a period: what the load needed, what was allocated, what stood idle and why, and what it cost.

    The need is what the queueing model of `planner size` asks for at the objectives, slot by slot. What is not known is
    named and never filled in. Files are written whole or not at all.
    """
    from planner.capacity_report.advice import advice_tables
    from planner.capacity_report.assembled import Material, capacity_report
    from planner.capacity_report.assumptions import stated_of_the_fleet
    from planner.capacity_report.gathered import Gathering, accounted_services
    from planner.capacity_report.period import parse_period
    from planner.capacity_report.priced_pools import priced_pools
    from planner.capacity_report.summary import lede
    from planner.capacity_report.written import require_formats, write_report
    from planner.fleet_file import read_fleet_file
    from planner.units import parse_seconds

    require_formats(outputs)
    period = parse_period(
        period_text, time_zone=time_zone, slot_s=round(parse_seconds(resolution, what="--resolution"))
    )
    until = _end_of(as_of, period)
    covered = _covered(period, until)
    fleet = read_fleet_file(fleet_path)
    gathering = Gathering(
        base=fleet_path.parent, period=period, covered=covered, server=_server(url, bearer_token_file)
    )
    services = accounted_services(fleet, gathering)
    priced = priced_pools(fleet, services, period, prices=prices, currency=currency)
    records = _gathered(services, gathering)
    made_on = until.date() if as_of is None else as_of.date()
    material = Material(
        period=period,
        covered=covered,
        records=records,
        prices=priced.prices,
        currency=priced.currency,
        made_on=made_on,
        assumptions=[*priced.assumptions, *stated_of_the_fleet(fleet, priced.book.spec.currency)],
        commitments=priced.commitments,
        advice=advice_tables(fleet, records, priced, gathering.doings, period=period, covered=covered, made_on=made_on),
    )
    document = capacity_report(material)
    for path in write_report(document, outputs):
        click.echo(f"written: {path}", err=True)
    click.echo(lede(document))
    if holes := document.table("holes").rows:
        many = "1 thing is" if len(holes) == 1 else f"{len(holes)} things are"
        click.echo(f"{many} not known: see 'What is not known' in the report")


def _end_of(as_of: datetime | None, period: Period) -> datetime:
    """The moment from which on nothing is known yet: now, or the end of a day on the period's clocks."""
    if as_of is None:
        return datetime.now(UTC)
    return datetime.combine(as_of.date() + timedelta(days=1), time(), period.start.tzinfo)


def _covered(period: Period, until: datetime) -> int:
    covered = period.until(until)
    if covered == 0:
        raise InvalidInput(
            f"--period {period.name} has not begun before {until:%Y-%m-%d %H:%M}", remedy="name one that has"
        )
    return covered


def _server(url: str | None, bearer_token_file: Path | None) -> MetricsServer | None:
    if url is None:
        return None
    from controller.prometheus import Prometheus

    return Prometheus(url, bearer_token_file=bearer_token_file)


def _gathered(services: Sequence[Accounted], gathering: Gathering) -> list[ServiceRecord]:
    """All records, with a bar where somebody looks on."""
    from planner.capacity_report.gathered import records

    with click.progressbar(
        services,
        label="reading histories",
        item_show_func=lambda each: "" if each is None else each.name[:40],
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as shown:
        return list(records(shown, gathering))
