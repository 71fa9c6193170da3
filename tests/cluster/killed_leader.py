"""A controller that leads, and is killed after the first write of its tick: `killed_leader KUBECONFIG NAMESPACE`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from controller import controller as loop
from controller.caches import Caches
from controller.controller import Asked, Controller
from controller.kubernetes_api import Kubernetes
from controller.leader import LeaderElection
from controller.snapshot import Evidence, Observation
from controller.snapshots import Key
from controller.telemetry import Telemetry
from tests.cluster.test_leader import QUICK
from tests.controller.world import readings

LEAD_S = 3.0
"""Between its word that it leads and its end."""


def main(kubeconfig: str, namespace: str) -> None:
    api = Kubernetes.connect(Path(kubeconfig))
    caches = Caches(api, namespace)
    assert caches.start(20.0) == []
    election = LeaderElection(api, namespace=namespace, name="lease", identity="first", times=QUICK)
    election.start()
    while not election.leads():
        time.sleep(0.05)
    sys.stdout.write("leads\n")
    sys.stdout.flush()
    time.sleep(LEAD_S)
    write = loop.apply

    def write_and_die(*arguments: object, **more: object) -> None:
        write(*arguments, **more)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    loop.apply = write_and_die  # type: ignore[assignment]
    Controller(api=api, caches=caches, observe=crowded, leader=election, telemetry=Telemetry()).tick()


def crowded(asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
    """Far more load than there are replicas for."""
    return {key: Observation(evidence=Evidence.FRESH, readings=readings(time.time(), 160.0, 1)) for key in asked}


if __name__ == "__main__":
    main(*sys.argv[1:])
