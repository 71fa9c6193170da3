"""/healthz and /readyz say what is wrong, and only then."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from controller.controller import Controller
from controller.pulse import Pulse
from controller.telemetry import Telemetry, serve
from controller.watch_cache import WatchCache
from tests.cluster.waiting import eventually


@pytest.fixture
def clock():
    return SimpleNamespace(now_s=1000.0)


@pytest.fixture
def pulse(clock) -> Pulse:
    return Pulse(interval_s=30.0, clock=lambda: clock.now_s)


def test_a_loop_that_has_not_moved_for_five_intervals_is_ill_and_well_again_when_it_moves(clock, pulse):
    clock.now_s += 150.0
    assert pulse.problem([]) == ""
    clock.now_s += 1.0
    assert pulse.problem([]) == "the loop has not moved for 151 s"
    pulse.moved()
    assert pulse.problem([]) == ""


def test_ticks_that_all_fail_are_an_illness_and_one_that_fails_is_none(clock, pulse):
    for _ in range(6):
        clock.now_s += 30.0
        pulse.failed(KeyError("spec"))
    assert pulse.problem([]) == "no tick has succeeded for 180 s: KeyError: 'spec'"
    pulse.ticked()
    clock.now_s += 30.0
    pulse.failed(KeyError("spec"))
    assert pulse.problem([]) == ""


def test_the_loop_moves_the_pulse(clock, pulse):
    stop = threading.Event()

    def failing_views():
        clock.now_s += 200.0
        stop.set()
        raise ZeroDivisionError

    caches = SimpleNamespace(policies=SimpleNamespace(objects=dict, unreadable=dict), view=failing_views)
    loop = Controller(api=None, caches=caches, observe=None, leader=None, telemetry=Telemetry(), pulse=pulse)  # type: ignore[arg-type]
    loop.run(stop, 30.0)
    assert "ZeroDivisionError" in pulse.problem([])


def test_a_watch_whose_thread_has_died_is_an_illness(pulse, monkeypatch):
    cache = WatchCache(None, "/api/v1/pods", dict)  # type: ignore[arg-type]
    assert not cache.dead
    monkeypatch.setattr(cache, "_thread", threading.Thread(target=lambda: None))
    cache.start()
    eventually(lambda: cache.dead)
    assert pulse.problem(["Pod"]) == "the watch of Pod has ended"
    cache.stop()
    assert not cache.dead


@contextmanager
def pages(**said: str) -> Iterator[str]:
    server = serve(
        "127.0.0.1:0", Telemetry(), ill=lambda: said["ill"], unready=lambda: said["unready"],
        standing=lambda: said.get("standing", ""),
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5.0) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_the_pages_say_what_is_wrong():
    with pages(ill="", unready="Pod: no answer yet") as url:
        assert answer(f"{url}/healthz") == (200, "ok\n")
        assert answer(f"{url}/readyz") == (503, "Pod: no answer yet\n")
    with pages(ill="the watch of Pod has ended", unready="") as url:
        assert answer(f"{url}/healthz") == (503, "the watch of Pod has ended\n")
        assert answer(f"{url}/readyz") == (200, "ok\n")
    with pages(ill="", unready="", standing="two holds the lease a/b") as url:
        assert answer(f"{url}/healthz") == (200, "ok\n")
        assert answer(f"{url}/readyz") == (200, "ok; stands by: two holds the lease a/b\n")
