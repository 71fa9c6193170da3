"""Who may write, of processes as a user starts them: one at a time, and a dry run never, not even a Lease."""

from __future__ import annotations

import time

import pytest

from controller import run as running
from controller.leader import LeaderElection, LeaseTimes
from controller.permissions import LEASE
from controller.run import Settings, run
from controller.snapshot import Evidence, Observation
from models.errors import InvalidInput
from tests.cluster.serving import apply_ours, engine_profile, model, policy, serving
from tests.cluster.waiting import eventually
from tests.controller.world import readings


@pytest.fixture
def chat(control_plane, namespace, gpu_nodes):
    """A model that is crowded: whoever may write doubles its replicas."""
    apply_ours(control_plane)
    gpu_nodes(1, 8)
    with serving(control_plane, namespace.name) as found:
        found.apply(model(namespace.name), engine_profile(), policy())
        eventually(lambda: found.get("deployment").get("status", {}).get("readyReplicas") == 1)
        yield found


def crowded(asked):
    seen = Observation(evidence=Evidence.FRESH, readings=readings(time.time(), 160.0, 1))
    return dict.fromkeys(asked, seen)


def settings(chat, **more) -> Settings:
    return Settings(
        kubeconfig=chat.control_plane.kubeconfig, namespace=chat.namespace, lease_namespace=chat.namespace, **more
    )


def leases(chat) -> str:
    return chat.kubectl("get", "leases", "-o", "name").strip()


def elected(chat, **more) -> LeaderElection:
    return LeaderElection(chat.controller.api, namespace=chat.namespace, name=LEASE, identity="other", **more)


def test_a_dry_run_takes_no_lease_and_writes_nothing(chat, monkeypatch):
    ticks = []

    class Stop:
        def is_set(self) -> bool:
            return len(ticks) > 1

        def wait(self, _seconds: float) -> None:
            ticks.append(leases(chat))

    monkeypatch.setattr(running, "_until_told", Stop)
    before = chat.get("capacitypolicy")
    run(settings(chat, dry_run=True), crowded)
    assert ticks == ["", ""]
    assert chat.replicas() == 1
    assert chat.get("capacitypolicy") == before


def test_one_tick_is_refused_while_another_leads_and_says_who(chat):
    leader = elected(chat, scope=chat.namespace)
    leader.start()
    try:
        eventually(leader.leads)
        with pytest.raises(InvalidInput, match=rf"other_namespace={chat.namespace} holds the lease .*/{LEASE}") as told:
            run(settings(chat, once=True), crowded)
        assert "--no-leader-elect" in told.value.remedy
        assert chat.replicas() == 1
        assert leader.leads()
        ticked = run(settings(chat, once=True, leader_elect=False), crowded)
        assert chat.replicas() == 2
        assert ticked is not None
        assert ticked.writes > 0
    finally:
        leader.stop()


def test_one_tick_writes_under_the_lease_and_gives_it_back(chat):
    assert run(settings(chat, once=True), crowded).writes > 0
    assert chat.replicas() == 2
    next_one = elected(chat)
    next_one.start()
    eventually(next_one.leads, within_s=4.0)
    next_one.stop()


def test_one_tick_says_why_the_lease_cannot_be_had(chat):
    nowhere = Settings(
        kubeconfig=chat.control_plane.kubeconfig, namespace=chat.namespace, lease_namespace="nowhere", once=True
    )
    with pytest.raises(InvalidInput, match=f"the lease nowhere/{LEASE} is not held: 404 .*nowhere"):
        run(nowhere, crowded)
    assert chat.replicas() == 1


def test_a_lease_whose_holder_has_vanished_is_taken_once_it_has_run_out(chat):
    quick = LeaseTimes(lease=6, deadline=4, retry=1)
    gone, next_one = elected(chat, times=quick), elected(chat, times=quick, scope="batch")
    gone.start()
    eventually(gone.leads)
    gone._stopped.set()  # as if it were killed
    next_one.start()
    try:
        assert next_one.wait()
    finally:
        next_one.stop()


def test_who_stands_by_says_who_leads_and_what_is_left_unattended(chat, caplog):
    leader, batch = elected(chat, scope=chat.namespace), elected(chat, scope="batch")
    assert leader.stands_by() == ""  # nobody has asked yet
    leader.start()
    try:
        eventually(leader.leads)
        assert leader.stands_by() == ""
        batch.start()
        eventually(lambda: batch.holder)
        chat.controller.leader = batch
        for _ in range(3):
            chat.tick()
    finally:
        leader.stop()
        batch.stop()
    (told,) = [each.getMessage() for each in caplog.records if "stands by" in each.getMessage()]
    assert f"looks after namespace {chat.namespace} alone, this process after namespace batch" in told
    assert "--lease-namespace" in told
