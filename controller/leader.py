"""Who may write: the holder of a Lease, by the official client's leader election, behind a fence of our own clock.

The client renews the lease. A write may begin only while the last renewal is younger than the deadline, which is
shorter than the lease, and gets no more time than the lease has left, less a margin: whoever cannot reach the API
server stops, and has stopped waiting for it, before another may begin. All of it is counted by monotonic clocks, from
when a renewal was sent; others count from when they see it.

What a client cannot ensure: that a request which it gave up is forgotten. A proxy that passes it on all the same, a
server that was stopped with the request in its buffer (a real one still made two of six such writes when it went on),
or this process, stopped between its look at the clock and its call, may let a write land late. Such a write is still
refused where a number that it was decided on has changed, as after any write of the next leader to that object
(controller.apply); and the next leader scales nothing down before it has watched a whole window itself.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from controller.kubernetes_api import Kubernetes
from controller.lease_api import Problem, coordination


class Leadership(Protocol):
    """Whether this process may write now."""

    def leads(self) -> bool: ...

    def left_s(self) -> float:
        """Seconds within which a write that begins now must be over; 0 where none may begin."""
        ...

    def stands_by(self) -> str:
        """Who leads instead, or why nobody is known to; empty while this process leads."""
        ...


class Alone:
    """Without leader election: always."""

    def leads(self) -> bool:
        """Yes."""
        return True

    def left_s(self) -> float:
        """For ever."""
        return math.inf

    def stands_by(self) -> str:
        """Never."""
        return ""


@dataclass(frozen=True, kw_only=True)
class LeaseTimes:
    """Seconds; a leader that vanishes is followed within `lease + retry`."""

    lease: int = 15
    deadline: int = 8
    """No write begins so long after the last renewal."""
    retry: int = 2
    margin: float = 1.0
    """Every write is over so long before the lease is."""


class LeaderElection:
    """Stands for election in a thread until it is stopped."""

    def __init__(
        self,
        api: Kubernetes,
        *,
        namespace: str,
        name: str,
        identity: str,
        scope: str = "",
        times: LeaseTimes | None = None,
    ) -> None:
        """`scope` is the namespace that the process looks after: who stands by can tell whether it is the leader's."""
        from kubernetes.leaderelection import electionconfig, leaderelection

        self._times, self._scope = times or LeaseTimes(), scope or "*"
        self.identity = identity = f"{identity}{_SCOPE}{self._scope}"
        self._stopped = threading.Event()
        self.lease = f"{namespace}/{name}"
        self._lock = _lease(name, namespace, identity, self._times.lease, self._stopped)
        self._problem = Problem()
        self._lock.api_instance = coordination(api, self._times.deadline, self._problem)
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
        return self.left_s() > 0.0

    @property
    def holder(self) -> str:
        """Who else held the lease when it was looked at last; empty where nobody did, or it is not known."""
        return str(self._lock.holder)

    def stands_by(self) -> str:
        """Who leads instead, or why nobody is known to; empty while this process leads, or has not asked yet."""
        if self.leads() or not self._problem.asked:
            return ""
        if self.holder:
            return f"{self.holder} holds the lease {self.lease}{self._unattended()}"
        return f"the lease {self.lease} is not held: {self._problem.told or 'this process asks for it'}"

    def _unattended(self) -> str:
        """What the leader does not look after, as far as its name says."""
        _, known, theirs = self.holder.partition(_SCOPE)
        if not known or theirs in ("*", self._scope):
            return ""
        mine = "all namespaces" if self._scope == "*" else f"namespace {self._scope}"
        return (
            f" and looks after namespace {theirs} alone, this process after {mine}: nothing is decided there; "
            "two controllers for two namespaces need two leases (--lease-namespace)"
        )

    def wait(self) -> bool:
        """Until this process leads, or another is seen to renew the lease, or it cannot be had: whether it leads.

        A lease whose holder has vanished is taken when it has run out.
        """
        end_s = time.monotonic() + self._times.lease + 2.0 * self._times.retry + 1.0
        while not self.leads() and time.monotonic() < end_s and not self._problem.told and self._lock.changes < 2:
            time.sleep(0.05)
        return self.leads()

    def left_s(self) -> float:
        """Until the lease ends, less the margin; 0 from the deadline on."""
        renewed_s: float | None = self._lock.renewed_s
        if self._stopped.is_set() or renewed_s is None:
            return 0.0
        age_s = time.monotonic() - renewed_s
        if age_s >= self._times.deadline:
            return 0.0
        return max(0.0, self._times.lease - self._times.margin - age_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._election.run()
            except InterruptedError:
                return
            except Exception as error:  # noqa: BLE001 -- whatever the client's loop ends with, standing goes on
                self._problem.told, self._problem.asked = type(error).__name__, True
                logging.getLogger(__name__).warning("leader election: %s", type(error).__name__)
            self._stopped.wait(self._times.retry)


_SCOPE, _MOST_TOLD = "_namespace=", 300
_NOT_YET = SimpleNamespace(body='{"code": 423}', reason="the lease is another's")
"""As the client's loop takes an answer that is no lease: it asks again later."""


def _lease(name: str, namespace: str, identity: str, lease_s: float, stopped: threading.Event) -> Any:
    """The client's lock by monotonic clocks, which ends its endless loop once `stopped` is set, and can be given back.

    The client compares times of day, so that a clock that is put forward takes a lease that is still held, and one
    that is put back waits for hours. Here the lock itself says whether the lease may be taken.
    """
    from kubernetes.leaderelection.resourcelock import leaselock

    lock: Any = leaselock.LeaseLock
    held = _HeldByOthers(lease_s)

    class Lease(lock):  # type: ignore[misc] # it has no annotations
        renewed_s: float | None = None
        """When the last renewal that was made was sent; None while the lease is another's."""
        holder = ""
        """Who else holds it."""
        changes = property(lambda _self: held.changes)

        def get(self, name: str, namespace: str) -> Any:
            if stopped.is_set():
                raise InterruptedError
            found, record = super().get(name, namespace)
            if not found or record.holder_identity == identity:
                self.holder = ""
                return found, record
            self.renewed_s = None
            still = held.still(record)
            self.holder = str(record.holder_identity)[:_MOST_TOLD] if still else ""
            return (False, _NOT_YET) if still else (True, None)

        def create(self, *arguments: Any, **named: Any) -> bool:
            return self._renewed(super().create, *arguments, **named)

        def update(self, *arguments: Any, **named: Any) -> bool:
            return self._renewed(super().update, *arguments, **named)

        def _renewed(self, call: Any, *arguments: Any, **named: Any) -> bool:
            sent_s = time.monotonic()  # others count from when they see it, which is later
            made = bool(call(*arguments, **named))
            if made:
                self.renewed_s = sent_s
            return made

        def release(self) -> None:
            lease: Any = self.api_instance.read_namespaced_lease(name, namespace)
            if lease.spec.holder_identity == identity:
                lease.spec.holder_identity, lease.spec.lease_duration_seconds = "", 1
                self.api_instance.replace_namespaced_lease(name, namespace, lease)

    made: Any = Lease
    return made(name, namespace, identity)


class _HeldByOthers:
    """Whether a lease of another still holds: until its time has passed since its last change was seen."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s, self._since_s = lease_s, 0.0
        self._seen: tuple[object, ...] = ()
        self.changes = 0
        """How often it was seen to be another than before: from the second time on its holder lives."""

    def still(self, record: Any) -> bool:
        """Of what the lease says now; one that was given back has no holder."""
        seen = (record.holder_identity, record.acquire_time, record.renew_time)
        if seen != self._seen:
            self._seen, self._since_s = seen, time.monotonic()
            self.changes += bool(record.holder_identity)
        lasts_s = max(self._lease_s, float(record.lease_duration or 0.0))
        return bool(record.holder_identity) and time.monotonic() - self._since_s < lasts_s
