"""Two candidates for one lease on a real API server: one leads, and the other follows soon."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from kubernetes.leaderelection import leaderelection

from controller.kubernetes_api import Kubernetes
from controller.leader import LeaderElection, LeaseTimes
from tests.cluster.waiting import eventually

QUICK = LeaseTimes(lease=6, deadline=4, retry=1)


@pytest.fixture
def candidate(control_plane, namespace):
    made = []

    def stand(identity: str) -> LeaderElection:
        api = Kubernetes.connect(control_plane.kubeconfig)
        found = LeaderElection(api, namespace=namespace.name, name="lease", identity=identity, times=QUICK)
        made.append(found)
        found.start()
        return found

    yield stand
    for each in made:
        each.stop()


def test_one_leads_and_the_other_follows_at_once_when_it_steps_down(candidate):
    first = candidate("first")
    eventually(first.leads)
    second = candidate("second")
    time.sleep(2.5)
    assert (first.leads(), second.leads()) == (True, False)
    first.stop()
    assert not first.leads()
    eventually(second.leads, within_s=4.0)


def test_a_leader_that_cannot_renew_stops_before_the_next_may_begin(candidate, control_plane):
    first = candidate("first")
    eventually(first.leads)
    second = candidate("second")
    with control_plane.frozen("kube-apiserver"):
        eventually(lambda: not first.leads(), within_s=8.0)
        assert not second.leads()
    assert not (first.leads() and second.leads())
    eventually(lambda: first.leads() or second.leads(), within_s=20.0)
    for _ in range(20):
        assert not (first.leads() and second.leads())
        time.sleep(0.1)


@pytest.fixture
def time_of_day(monkeypatch):
    """Of the client's election: it can be put forward and back."""
    leap = SimpleNamespace(seconds=0.0)
    clock = SimpleNamespace(time=lambda: time.time() + leap.seconds, sleep=time.sleep)
    monkeypatch.setattr(leaderelection, "time", clock)
    return leap


def test_a_clock_that_is_put_forward_takes_no_lease_that_is_held(candidate, time_of_day):
    first = candidate("first")
    eventually(first.leads)
    second = candidate("second")
    time.sleep(2.0)
    time_of_day.seconds = 3600.0
    for _ in range(80):
        assert (first.leads(), second.leads()) == (True, False)
        time.sleep(0.05)


def test_a_clock_that_is_put_back_leaves_no_lease_without_a_holder(candidate, time_of_day):
    first = candidate("first")
    eventually(first.leads)
    second = candidate("second")
    time.sleep(2.0)
    time_of_day.seconds = -3600.0
    first._stopped.set()  # as if it were killed: the lease is not given back
    eventually(second.leads, within_s=QUICK.lease + 2 * QUICK.retry + 2.0)


def test_no_write_is_given_more_time_than_its_lease_has(candidate):
    first = candidate("first")
    assert first.left_s() == 0.0
    for _ in range(30):
        left_s = eventually(first.left_s)
        assert QUICK.lease - QUICK.deadline - QUICK.margin <= left_s <= QUICK.lease - QUICK.margin
        time.sleep(0.1)
    first.stop()
    assert first.left_s() == 0.0
