"""The controller put together from its settings: what `planner controller run` does."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.caches import Caches
from controller.controller import DECISIONS, SYNC_S, TELLING_S, Controller, Observer, Ticked
from controller.decision_log import DecisionLog
from controller.json_logs import log_as_json
from controller.kill_switch import KillSwitch
from controller.kubernetes_api import Kubernetes
from controller.leader import Alone, LeaderElection
from controller.permissions import LEASE
from controller.pulse import Pulse
from controller.telemetry import Telemetry, serve
from models.errors import InvalidInput

LOG = logging.getLogger("replicast.run")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user says."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = ""
    """Of the policies; empty for all."""
    interval_s: float = 15.0
    once: bool = False
    dry_run: bool = False
    leader_elect: bool = True
    lease_namespace: str = "replicast-system"
    listen: str | None = None
    decision_log: Path | None = None
    kill_switch: Path | None = None


def run(settings: Settings, observe: Observer) -> Ticked | None:
    """Tick once, or until a signal says stop. Raises InvalidInput where it cannot, or may not, begin."""
    log_as_json()
    DECISIONS.setLevel(logging.WARNING if settings.once else logging.INFO)  # once they are printed as sentences
    api = Kubernetes.connect(settings.kubeconfig, settings.context)
    caches, telemetry = Caches(api, settings.namespace), Telemetry()
    log = None if settings.decision_log is None else DecisionLog(settings.decision_log)
    pulse = Pulse(settings.interval_s)
    election = _election(api, settings)
    pages: Any = None
    if settings.listen is not None and not settings.once:
        # Before the caches: as long as they fill, the controller is well and not ready.
        pages = serve(
            settings.listen, telemetry, ill=lambda: pulse.problem(caches.dead()),
            unready=lambda: "; ".join(caches.unsynced()),
            standing=lambda: "" if election is None else election.stands_by(),
        )  # fmt: skip
    late = caches.start(SYNC_S if not settings.once else SYNC_S / 2.0)
    if late and settings.once:
        caches.stop()
        raise InvalidInput(f"the cluster cannot be read: {'; '.join(late)}", remedy="check kubeconfig and RBAC rules")
    for each in late:
        LOG.warning("not seen yet: %s", each)
    controller = Controller(
        api=api, caches=caches, observe=observe, leader=election or Alone(), telemetry=telemetry, log=log,
        dry_run=settings.dry_run,
        kill_switch=None if settings.kill_switch is None else KillSwitch(settings.kill_switch),
        telling_s=600.0 if settings.once else TELLING_S, pulse=pulse,
    )  # fmt: skip
    try:
        stop = None if settings.once else _until_told()
        if election is not None:
            election.start()
        if stop is None:
            _require_lead(election)
            return controller.tick()
        controller.run(stop, settings.interval_s)
        return None
    finally:
        if pages is not None:
            pages.shutdown()
        if election is not None:
            election.stop()
        caches.stop()
        if log is not None:
            log.close()


def _election(api: Kubernetes, settings: Settings) -> LeaderElection | None:
    """None where nothing is written, as of a dry run: it keeps nobody from leading."""
    if settings.dry_run or not settings.leader_elect:
        return None
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    return LeaderElection(
        api, namespace=settings.lease_namespace, name=LEASE, identity=identity, scope=settings.namespace
    )


def _require_lead(election: LeaderElection | None) -> None:
    if election is not None and not election.wait():
        why = election.stands_by() or f"the lease {election.lease} could not be had in time"
        raise InvalidInput(
            f"nothing was looked at or written: {why}",
            remedy="--dry-run only looks; --lease-namespace names another lease; --no-leader-elect writes all the same",
        )


def _until_told() -> threading.Event:
    """Set by SIGTERM and SIGINT; the tick that is under way is finished."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
