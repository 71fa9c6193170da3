"""`planner simulate --serve`: the simulation behind an HTTP endpoint that Prometheus can scrape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from models.errors import InvalidInput
from models.prediction import Routing
from models.workload import ClosedArrivals
from planner.cli.options import stated_workload
from planner.profile import EngineProfile

if TYPE_CHECKING:
    from planner.simulated_service.service import SimulatedService

_IDLE = {
    "slo": "--slo", "requests": "--requests", "form": "-o", "gpu_price": "--gpu-price",
}  # fmt: skip
"""Options of a run that ends."""
_ONLY = {"speed": "--speed", "model_name": "--model-name", "metric_names": "--metric-names"}
"""Options of a server."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `--serve` takes beyond the load."""

    address: str
    replicas: int
    seed: int
    speed: float
    model_name: str | None
    metric_names: str


def refuse_idle(context: click.Context, serve: str | None) -> None:
    """An option that would do nothing is refused by name."""
    unfit, why = (_IDLE, "has no meaning with --serve") if serve else (_ONLY, "is of --serve")
    for parameter, name in unfit.items():
        if context.get_parameter_source(parameter) is not click.core.ParameterSource.DEFAULT:
            raise InvalidInput(f"{name} {why}", remedy="drop it" if serve else f"add --serve ADDRESS, or drop {name}")


def serve_until_stopped(profile: EngineProfile, load: dict[str, Any], options: ServeOptions) -> int:
    """Serve until Ctrl-C."""
    if options.metric_names == "oldest" and profile.spec.engine != "vllm":
        raise InvalidInput("--metric-names oldest: only vLLM renamed its metrics", remedy="drop it")
    host, port = _address(options.address)
    service = _service(profile, load, options)
    service.keep(str(index) for index in range(options.replicas))
    from controller.simulated_engine_server import SimulatedEngineServer

    with SimulatedEngineServer(service, (host, port), speed=options.speed) as server:
        at = f"http://{server.authority}"
        click.echo(
            f"serving {service.model_name} ({profile.name}) at {at}\n"
            f"  metrics   {at}/replicas/{'NAME' if options.replicas > 1 else '0'}/metrics   targets: {at}/targets\n"
            f"  load      curl -X PUT -d '{{\"qps\": 30}}' {at}/load\n"
            f"  replicas  curl -X PUT -d '{{\"count\": 3}}' {at}/replicas\n"
            f"  state     {at}/status"
        )
        try:
            server.wait()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
    return 0


def _service(profile: EngineProfile, load: dict[str, Any], options: ServeOptions) -> SimulatedService:
    from planner.simulated_service.service import simulated_batchers, simulated_tokens

    if profile.spec.engine == "triton":
        from planner.cli.batching import question_of

        question = question_of(profile, load, (), gpu_price=None)
        return simulated_batchers(
            profile, question.arrivals, routing=question.routing, seed=options.seed, model_name=options.model_name
        )
    routing = Routing(load.pop("routing"))
    stated = stated_workload(load)
    if isinstance(stated.workload.arrivals, ClosedArrivals):
        raise InvalidInput("--concurrency has no meaning with --serve, whose load may change", remedy="give --qps")
    for assumption in stated.assumptions:
        click.echo(f"assumed: {assumption}", err=True)
    return simulated_tokens(
        profile, stated.workload, routing=routing, seed=options.seed, model_name=options.model_name,
        oldest_names=options.metric_names == "oldest",
    )  # fmt: skip


def _address(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:([^:\s]*):)?(\d{1,5})", text, re.ASCII)
    if found is None or int(found[2]) > 65535:
        raise InvalidInput(
            f"--serve {text!r} is not an address", remedy="give HOST:PORT or PORT, such as 8000 or 0.0.0.0:8000"
        )
    return found[1] or "127.0.0.1", int(found[2])
