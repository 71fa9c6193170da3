"""The whole product at work without a GPU: a real control plane and Prometheus, simulated engines, the controller.

    python -m scripts.demo_cluster [--speed 4 | --seconds 150] [--decision-log FILE]

Real are kube-apiserver, etcd, the Deployment and HPA controllers, the scheduler, Prometheus and `planner controller run`
in Enforce mode. KWOK plays the nodes and the pods' starts; `planner simulate --serve` plays vLLM and Triton.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes import client, config

from models.errors import InvalidInput
from scripts.cluster_demo.decisions import Decisions
from scripts.cluster_demo.engine import Engine, running_engine
from scripts.cluster_demo.load_curve import rate_at
from scripts.cluster_demo.measured import shown, vector
from scripts.cluster_demo.metrics_adapter import registration, running_adapter
from scripts.cluster_demo.picture import view
from scripts.cluster_demo.processes import free_port, planner, tail
from scripts.cluster_demo.record import Look, Record
from scripts.cluster_demo.replica_sync import Replicas, ReplicaSync
from scripts.cluster_demo.served_models import GPUS, MODELS, NAMESPACE, NODES, nodes, objects
from scripts.cluster_demo.summary import summary
from scripts.cluster_demo.timing import CURVE_S, SCRAPE_S, SHORTEST_S, SPEED, Timing
from scripts.control_plane import ControlPlaneMissing
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.manifests import Manifest
from tests.cluster.prometheus import running_prometheus

CRDS = Path(__file__).parents[1] / "deploy" / "crds"
_READY_S = 60.0
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All parts, running."""

    timing: Timing
    engines: Sequence[Engine]
    sync: ReplicaSync
    prometheus: str
    controller: str
    """URL of its pages."""
    decisions: Decisions


def main() -> int:
    """Exit code 0 where all parts did their work."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    timing = Timing(seconds=options.seconds or CURVE_S / options.speed)
    try:
        with tempfile.TemporaryDirectory(prefix="replicast-demo-") as folder, ExitStack() as parts:
            parts.callback(lambda: _say("stopping all parts"))
            stage = _started(parts, timing, Path(folder), options.decision_log)
            records, lost = _played(stage)
            print("\n" + "\n".join(summary(records, stage.decisions, lost)), flush=True)
            # From here on nothing interrupts the cleaning up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    except (ControlPlaneMissing, RuntimeError, InvalidInput) as failed:
        _say(f"error: {failed}")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo-cluster", description=(__doc__ or "").partition("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--speed", type=float, default=SPEED, help="how much faster the load's ten minutes pass")
    length.add_argument("--seconds", type=float, help="how long the load's ten minutes take")
    parser.add_argument("--decision-log", type=Path, help="keep the controller's decisions in this new file")
    options = parser.parse_args()
    longest, seconds = CURVE_S * 2.0, options.seconds or CURVE_S / max(options.speed, 1e-9)
    if not SHORTEST_S <= seconds <= longest:
        parser.error(f"the load takes {SHORTEST_S:.0f} to {longest:.0f} seconds, not {seconds:.0f}")
    if options.decision_log is not None and options.decision_log.exists():
        parser.error(f"{options.decision_log} is there already; name a new file")
    return options


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _started(parts: ExitStack, timing: Timing, folder: Path, log: Path | None) -> Stage:
    """Start everything, telling what. Raises RuntimeError where a part does not start."""
    print(_introduction(timing), flush=True)
    _step("Kubernetes: kube-apiserver, etcd, controllers, scheduler, KWOK")
    plane = parts.enter_context(running_control_plane(_folder(folder, "cluster")))
    _step(f"two simulated engines ({' and '.join(model.engine for model in MODELS)}), a process each")
    engines = [parts.enter_context(running_engine(model, timing, folder)) for model in MODELS]
    targets = folder / "targets.json"
    api = parts.enter_context(config.new_client_from_config(config_file=str(plane.kubeconfig)))
    sync = parts.enter_context(ReplicaSync(api=api, engines=engines, targets=targets))
    _step(f"Prometheus, which scrapes the pods once in {SCRAPE_S:g} s")
    prometheus = parts.enter_context(running_prometheus(_folder(folder, "prometheus"), _scraping(targets)))
    _step(f"Replicast's custom resources; {NODES} nodes of {GPUS} GPUs; the samples of deploy/ in namespace {NAMESPACE}")
    port = parts.enter_context(running_adapter(prometheus, plane.folder / "clusters" / "tests" / "pki"))
    _apply(plane, timing, port)
    _until_served(sync)
    decisions = Decisions(log=log or folder / "decisions.jsonl")
    _step("the controller, in Enforce mode")
    controller = parts.enter_context(_controller(plane, prometheus, timing, decisions.log, folder / "controller.log"))
    print(flush=True)
    return Stage(
        timing=timing, engines=engines, sync=sync, prometheus=prometheus, controller=controller, decisions=decisions
    )


def _introduction(timing: Timing) -> str:
    return f"""\
Replicast at work, without a GPU: two models under a load that rises and falls, and the controller that follows it.
Ten minutes of load pass in {timing.seconds:.0f} s. Nothing else is sped up: engines, Kubernetes, Prometheus and the
controller share the wall's clock, so rates and latencies are real seconds. To keep step with such a load a pod starts in
{timing.cold_start_s} s instead of minutes, the controller looks every {timing.tick_s} s at rates over {timing.window_s} s, \
and scales down after {timing.settle_s} s.
Starting takes about half a minute; the first time on a machine also what `make control-plane` builds (minutes, once).
Ctrl-C stops everything.
"""


def _step(text: str) -> None:
    print(f"starting {text}", flush=True)


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def _scraping(targets: Path) -> dict[str, object]:
    pods = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    return {"global": {"scrape_interval": f"{SCRAPE_S:g}s", "scrape_timeout": f"{SCRAPE_S:g}s"}, "scrape_configs": [pods]}


def _apply(plane: ControlPlane, timing: Timing, adapter_port: int) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    _apply_all(plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *nodes()])
    _apply_all(plane, registration(adapter_port))
    _apply_all(plane, (each for model in MODELS for each in objects(model, timing)))


def _apply_all(plane: ControlPlane, manifests: Iterable[Manifest]) -> None:
    plane.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(list(manifests)))


def _until_served(sync: ReplicaSync) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if all(sync.seen.get(model.name, Replicas()).ready for model in MODELS):
            return
        time.sleep(0.2)
    raise RuntimeError(f"no pod was ready in {_READY_S:.0f} s: {sync.trouble or sync.seen}")


@contextmanager
def _controller(plane: ControlPlane, prometheus: str, timing: Timing, log: Path, said: Path) -> Iterator[str]:
    """`planner controller run`; the URL of its pages."""
    listen = f"127.0.0.1:{free_port()}"
    arguments = [
        "controller", "run", "--kubeconfig", str(plane.kubeconfig), "--prometheus", prometheus,
        "--namespace", NAMESPACE, "--lease-namespace", NAMESPACE, "--listen", listen, "--decision-log", str(log),
        "--scrape-interval", f"{SCRAPE_S:g}s", "--window", f"{timing.window_s}s", "--interval", f"{timing.tick_s}s",
    ]  # fmt: skip
    url = f"http://{listen}"
    with planner(arguments, said) as process:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                shown(url)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the controller did not start:\n{tail(said)}") from None
            time.sleep(0.2)
        yield url


def _played(stage: Stage) -> tuple[list[Record], dict[str, int]]:
    """The load's curve from its beginning to its end, shown as it goes; what was seen, and requests nobody served."""
    records = [Record(model=engine.model) for engine in stage.engines]
    before = {engine.model.name: engine.lost() for engine in stage.engines}
    picture, began_s = view(stage.timing), time.monotonic()
    try:
        while (now_s := time.monotonic() - began_s) < stage.timing.seconds:
            share = now_s / stage.timing.seconds
            for engine in stage.engines:
                engine.load(rate_at(engine.model.curve, share))
            for record in records:
                record.add(_look(stage, record, now_s, share))
            picture.show(share, records, stage.decisions, stage.decisions.look())
            time.sleep(max(0.05, _LOOK_EVERY_S - (time.monotonic() - began_s - now_s)))
    finally:
        picture.close()
    stage.decisions.look()
    lost = {engine.model.name: engine.lost() - before[engine.model.name] for engine in stage.engines}
    return records, lost


def _look(stage: Stage, record: Record, now_s: float, share: float) -> Look:
    """At one model. What cannot be had now is not known, and the demonstration goes on."""
    model, replicas = record.model, stage.sync.seen[record.model.name]
    planned = needed = latency_s = None
    try:
        page = shown(stage.controller)
        planned, needed = page.of("planned_requests_per_second", model.name), page.of("needed_replicas", model.name)
        query = model.latency.format(window=max(5, stage.timing.window_s))
        latency_s = vector(stage.prometheus, query, "").get("")
    except OSError:
        """Asked again with the next look."""
    return Look(
        at_s=now_s, arriving_per_s=rate_at(model.curve, share), asked=replicas.asked, ready=replicas.ready,
        planned_per_s=planned, needed=needed, latency_s=latency_s,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
