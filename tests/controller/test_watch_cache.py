"""A watch outlives whatever it reads: objects that nobody thought of, answers that are none, errors of our own."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from controller.caches import Caches
from controller.cluster_objects import free_gpus, pod
from controller.kubernetes_api import ApiError, Document, Page
from controller.watch_cache import WatchCache
from tests.cluster.waiting import eventually


class Stream:
    """A list, and then what a test says."""

    def __init__(self, *listed: Any) -> None:
        self.listed, self.events, self.lists = list(listed), queue.Queue[Any](), 0

    def pages(self, _path: str, **_: Any) -> Iterator[Page]:
        self.lists += 1
        yield Page(items=list(self.listed), resource_version="1")

    def watch(self, _path: str, _version: str, *, timeout_s: int, opened: Any) -> Iterator[tuple[str, Document]]:
        assert timeout_s > 0
        opened()
        while (event := self.events.get(timeout=30.0)) is not None:
            yield event


@pytest.fixture
def watched():
    begun = []

    def begin(stream: Stream, reduce: Any) -> WatchCache[Any]:
        cache = WatchCache(stream, "/api/v1/quotas", reduce)
        begun.append((stream, cache))
        cache.start()
        assert cache.wait(10.0)
        return cache

    yield begin
    for stream, cache in begun:
        cache.stop()
        stream.events.put(None)


def quota(name: str, hard: Any, used: Any = "0") -> Document:
    counted = {"hard": {"requests.nvidia.com/gpu": hard}, "used": {"requests.nvidia.com/gpu": used}}
    return {"metadata": {"namespace": "serving", "name": name}, "status": counted}


@pytest.mark.parametrize(
    ("hard", "used", "free"),
    [("8", "3", 5), ("1k", "10", 990), ("10.5", "2", 8), ("2e1", "500m", 19), (8, 8, 0), ("4", "9", 0)],
)
def test_quotas_are_read_as_kubernetes_writes_quantities(hard: Any, used: Any, free: int):
    assert free_gpus(quota("gpus", hard, used)) == free


def test_an_odd_object_is_named_once_and_left_out_and_the_others_are_kept_up_to_date(watched, caplog):
    stream = Stream(quota("good", "8"), quota("odd", "many"), "no object")
    with caplog.at_level(logging.WARNING, "replicast"):
        cache = watched(stream, free_gpus)
        assert cache.objects() == {("serving", "good"): 8}
        assert set(cache.unreadable()) == {("serving", "odd"), ("", "")}
        stream.events.put(("MODIFIED", quota("odd", "many")))
        stream.events.put(("MODIFIED", quota("good", "4")))
        eventually(lambda: cache.get(("serving", "good")) == 4)
    told = [record.getMessage() for record in caplog.records if "serving/odd" in record.getMessage()]
    assert len(told) == 1
    assert "many" in told[0]
    assert (cache.dead, cache.problem) == (False, "")


def test_an_object_that_becomes_odd_is_no_longer_believed_until_it_is_mended_or_gone(watched):
    stream = Stream(quota("gpus", "8"))
    cache = watched(stream, free_gpus)
    stream.events.put(("MODIFIED", quota("gpus", "many")))
    eventually(lambda: (cache.objects(), set(cache.unreadable())) == ({}, {("serving", "gpus")}))
    stream.events.put(("MODIFIED", quota("gpus", "2")))
    eventually(lambda: (cache.objects(), cache.unreadable()) == ({("serving", "gpus"): 2}, {}))
    stream.events.put(("MODIFIED", quota("gpus", "many")))
    stream.events.put(("DELETED", quota("gpus", "many")))
    eventually(lambda: (cache.objects(), cache.unreadable()) == ({}, {}))


@pytest.mark.parametrize("event", [("ERROR", {"code": "x"}), ("ADDED", []), (1, 2, 3)])
def test_an_event_that_is_none_begins_the_watch_anew(watched, event: Any):
    stream = Stream(quota("gpus", "8"))
    cache = watched(stream, free_gpus)
    stream.events.put(event)
    eventually(lambda: stream.lists == 2)
    stream.events.put(("MODIFIED", quota("gpus", "2")))
    eventually(lambda: cache.get(("serving", "gpus")) == 2)
    assert not cache.dead


@pytest.mark.parametrize(
    "shape",
    [
        {"status": {"conditions": "none"}},
        {"status": {"containerStatuses": [{"restartCount": "often"}]}},
        {"metadata": {"name": "a", "labels": ["app"]}},
    ],
)
def test_pods_of_odd_shape_end_no_watch(watched, shape: Document):
    named = {"name": "odd", "namespace": "serving"}
    stream = Stream({**shape, "metadata": {**named, **shape.get("metadata", {})}})
    cache = watched(stream, pod)
    assert (cache.objects(), len(cache.unreadable()), cache.dead) == ({}, 1, False)


class Absent(Stream):
    """A kind that is not installed, on a server that may be down."""

    status = 404

    def pages(self, _path: str, **_: Any) -> Iterator[Page]:
        self.lists += 1
        if self.status:
            raise ApiError(status=self.status if self.status > 1 else 0, reason="x", verb="LIST", path="/", message="")
        yield Page(items=list(self.listed), resource_version="1")


@pytest.fixture
def absent():
    stream = Absent(quota("gpus", "8"))
    cache = WatchCache(stream, "/apis/keda.sh", free_gpus, optional=True)
    cache.start()
    assert cache.wait(10.0)
    yield stream, cache
    cache.stop()
    stream.events.put(None)


@pytest.mark.parametrize("status", [1, 500, 503, 429], ids=["no answer", "500", "503", "429"])
def test_a_kind_that_is_not_installed_hinders_nothing_after_an_outage(absent, status):
    stream, cache = absent
    stream.status = status
    eventually(lambda: cache.wake() or stream.lists > 2)
    assert cache.problem == ""
    stream.status = 403
    eventually(lambda: cache.wake() or "403" in cache.problem)


def test_a_kind_that_was_installed_during_an_outage_is_seen_as_soon_as_others_are(absent):
    stream, cache = absent
    other_stream = Absent()
    other_stream.status = 1
    other = WatchCache(other_stream, "/api/v1/pods", pod)
    other.returned = cache.wake
    other.start()
    eventually(lambda: other.problem)
    stream.status = other_stream.status = 0
    eventually(lambda: cache.objects() == {("serving", "gpus"): 8}, within_s=5.0)
    stream.events.put(("ERROR", {"code": 500}))
    stream.status = 1
    eventually(lambda: cache.problem)  # now it is there, and nobody answers for it
    other.stop()
    other_stream.events.put(None)


def test_all_kinds_are_asked_at_once_when_the_server_is_heard_of_again():
    caches = Caches(Stream())
    (_, first), *others = caches._by_kind.items()
    first._problem = "it was down"
    first._heard()
    assert all(each._wake.is_set() for _, each in others)
