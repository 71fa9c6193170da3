"""All parts of the demonstration, started in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes import config

from scripts.cluster_demo.controller_process import RunningController, running_controller
from scripts.cluster_demo.decisions import Decisions
from scripts.cluster_demo.engine import Engine, running_engine
from scripts.cluster_demo.metrics_adapter import registration, running_adapter
from scripts.cluster_demo.replica_sync import Replicas, ReplicaSync
from scripts.cluster_demo.served_models import GPUS, MODELS, NAMESPACE, NODES, nodes, objects
from scripts.cluster_demo.timing import SCRAPE_S, Timing
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.manifests import Manifest
from tests.cluster.prometheus import running_prometheus

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
_READY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All parts, running."""

    timing: Timing
    engines: Sequence[Engine]
    sync: ReplicaSync
    prometheus: str
    controller: RunningController
    decisions: Decisions


def started(parts: ExitStack, timing: Timing, folder: Path) -> Stage:
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
    _step(
        f"Replicast's custom resources; {NODES} nodes of {GPUS} GPUs; the samples of deploy/ in namespace {NAMESPACE}"
    )
    port = parts.enter_context(running_adapter(prometheus, plane.folder / "clusters" / "tests" / "pki"))
    _apply(plane, timing, port)
    _until_served(sync)
    print(f"waiting {timing.window_s} s, so that there are rates of a whole window", flush=True)
    time.sleep(timing.window_s)
    decisions = Decisions(log=folder / "decisions.jsonl")
    _step("the controller, in Enforce mode")
    controller = parts.enter_context(
        running_controller(plane.kubeconfig, prometheus, timing, decisions.log, folder / "controller.log")
    )
    print(flush=True)
    return Stage(
        timing=timing, engines=engines, sync=sync, prometheus=prometheus, controller=controller, decisions=decisions
    )


def _introduction(timing: Timing) -> str:
    return f"""\
Replicast at work, without a GPU: two models under a load that rises and falls, and the controller that follows it.

Ten minutes of load pass in {timing.seconds:.0f} s. Nothing else is sped up: engines, Kubernetes, Prometheus and the
controller share the wall's clock, so that rates and latencies are what they say. To keep step with such a load, a pod
starts in {timing.cold_start_s} s instead of minutes, and the controller looks every {timing.tick_s} s at rates over {timing.window_s} s
and waits {timing.settle_s} s before it scales down.

Starting takes 10 to 30 s. The first time on a machine `make control-plane` builds the real parts before: 6 to 15 minutes
and 5.6 GB, once. Ctrl-C stops everything and leaves nothing behind.
"""  # noqa: E501 -- as wide as what it prints


def _step(text: str) -> None:
    print(f"starting {text}", flush=True)


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def _scraping(targets: Path) -> dict[str, object]:
    pods = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    return {
        "global": {"scrape_interval": f"{SCRAPE_S:g}s", "scrape_timeout": f"{SCRAPE_S:g}s"},
        "scrape_configs": [pods],
    }


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
