"""Who may write: the holder of a Lease, by the official client's leader election, behind a fence of our own clock.

The client renews the lease; a write is allowed only while the last renewal is younger than the deadline, which is
shorter than the lease: whoever cannot reach the API server stops before another may begin.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from controller.kubernetes_api import Kubernetes


class Leadership(Protocol):
    """Whether this process may write now."""

    def leads(self) -> bool: ...


class Alone:
    """Without leader election: always."""

    def leads(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True, kw_only=True)
class LeaseTimes:
    """Seconds; a leader that vanishes is followed within `lease + retry`."""

    lease: int = 15
    deadline: int = 8
    retry: int = 2


class LeaderElection:
    """Stands for election in a thread until it is stopped."""

    def __init__(
        self, api: Kubernetes, *, namespace: str, name: str, identity: str, times: LeaseTimes | None = None
    ) -> None:
        from kubernetes.leaderelection import electionconfig, leaderelection

        self._times, self.identity = times or LeaseTimes(), identity
        self._stopped = threading.Event()
        self._lock = _lease(name, namespace, identity, self._stopped)
        self._lock.api_instance = _coordination(api, self._times.deadline)
        config = electionconfig.Config(
            self._lock,
            lease_duration=self._times.lease,
            renew_deadline=self._times.deadline,
            retry_period=self._times.retry,
            onstarted_leading=self._stopped.wait,
            onstopped_leading=lambda: None,
        )
        self._election: Any = leaderelection.LeaderElection(config)
        self._thread = threading.Thread(target=self._run, name="leader election", daemon=True)

    def start(self) -> None:
        """Begin to stand."""
        self._thread.start()

    def stop(self) -> None:
        """No longer lead, and give the lease back, so that the next may lead at once."""
        led = self.leads()
        self._stopped.set()
        if not led:
            return
        try:
            self._lock.release()
        except Exception as error:  # noqa: BLE001 -- it runs out by itself
            logging.getLogger(__name__).warning("the lease was not given back: %s", type(error).__name__)

    def leads(self) -> bool:
        """Whether the lease is ours, and was renewed within the deadline."""
        record = self._election.observed_record
        if self._stopped.is_set() or record is None or record.holder_identity != self.identity:
            return False
        return bool(time.time() - self._election.observed_time_milliseconds / 1e3 < self._times.deadline)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._election.run()
            except InterruptedError:
                return
            except Exception as error:  # noqa: BLE001 -- whatever the client's loop ends with, standing goes on
                logging.getLogger(__name__).warning("leader election: %s", type(error).__name__)
            self._stopped.wait(self._times.retry)


def _lease(name: str, namespace: str, identity: str, stopped: threading.Event) -> Any:
    """The client's lock, which ends the client's endless loop once `stopped` is set, and can be given back."""
    from kubernetes.leaderelection.resourcelock import leaselock

    lock: Any = leaselock.LeaseLock

    class Lease(lock):  # type: ignore[misc] # it has no annotations
        def get(self, name: str, namespace: str) -> Any:
            if stopped.is_set():
                raise InterruptedError
            return super().get(name, namespace)

        def release(self) -> None:
            lease: Any = self.api_instance.read_namespaced_lease(name, namespace)
            if lease.spec.holder_identity == identity:
                lease.spec.holder_identity, lease.spec.lease_duration_seconds = "", 1
                self.api_instance.replace_namespaced_lease(name, namespace, lease)

    made: Any = Lease
    return made(name, namespace, identity)


def _coordination(api: Kubernetes, deadline_s: int) -> Any:
    """The typed API of leases, with a time-out on every call: a frozen server must not freeze the renewal."""
    from kubernetes.client import CoordinationV1Api

    typed = CoordinationV1Api(api.client)
    for name in ("read_namespaced_lease", "create_namespaced_lease", "replace_namespaced_lease"):
        setattr(typed, name, _timed(getattr(typed, name), deadline_s / 2.0))
    return typed


def _timed(call: Any, seconds: float) -> Any:
    def timed(*arguments: Any, **named: Any) -> Any:
        return call(*arguments, _request_timeout=seconds, **named)

    return timed
