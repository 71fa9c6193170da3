"""Two candidates for one lease on a real API server: one leads, and the other follows soon."""

from __future__ import annotations

import time

import pytest

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
