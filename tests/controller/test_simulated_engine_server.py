"""The simulated service over HTTP: what it shows, what may be changed, and what it refuses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from controller.simulated_engine_server import SimulatedEngineServer
from models.errors import InvalidInput
from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.profile import load_profile
from planner.simulated_service.service import SimulatedService, simulated_tokens
from tests.cluster.waiting import eventually


def a_service() -> SimulatedService:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=10.0), lengths=TokenLengths.of(512.0, 128.0))
    service = simulated_tokens(load_profile("llama-3.1-8b-a100-vllm"), workload, routing=Routing.RANDOM, seed=1)
    service.keep(["0"])
    return service


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


CLOCK = Clock()


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedEngineServer]:
    with SimulatedEngineServer(a_service(), ("127.0.0.1", 0), speed=10.0, clock=CLOCK) as started:
        yield started


def ask(server, method: str, path: str, body: object = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(server.authority, timeout=10)
    connection.request(method, path, body if isinstance(body, str) or body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type", ""), text


def status(server) -> dict:
    return json.loads(ask(server, "GET", "/status")[2])


def after(server, seconds: float) -> dict:
    """The state when the clock has moved on by so much and the simulation with it."""
    CLOCK.now_s += seconds
    return eventually(lambda: status(server), lambda seen: seen["behind_s"] == 0.0)


def test_time_runs_as_fast_as_it_is_told(server):
    before = status(server)["time_s"]
    assert after(server, 3.0)["time_s"] == pytest.approx(before + 30.0)


def test_a_replica_shows_its_page_in_prometheus_s_format(server):
    code, kind, page = ask(server, "GET", "/replicas/0/metrics?x=1")
    assert (code, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'vllm:request_success_total{engine="0",finished_reason="length",' in page
    assert ask(server, "GET", "/replicas/0/health")[::2] == (200, "ok\n")
    assert ask(server, "GET", "/health")[::2] == (200, "ok\n")


def test_load_and_replicas_change_while_it_runs(server):
    assert ask(server, "PUT", "/load", {"qps": 40})[0] == 200
    assert ask(server, "PUT", "/replicas", {"names": ["chat-0", "chat-1"]})[0] == 200
    assert ask(server, "GET", "/replicas/0/metrics")[0] == 404
    code, _, said = ask(server, "GET", "/metrics")
    assert (code, said.startswith("there are 2 replicas")) == (404, True)
    state = after(server, 2.0)
    assert state["qps"] == 40
    assert all(replica["outstanding"] > 0 for replica in state["replicas"].values())
    targets = json.loads(ask(server, "GET", "/targets")[2])
    assert targets[1] == {
        "targets": [server.authority],
        "labels": {"__metrics_path__": "/replicas/chat-1/metrics", "pod": "chat-1"},
    }
    assert ask(server, "PUT", "/replicas", {"count": 1})[0] == 200
    assert ask(server, "GET", "/metrics")[0] == 200
    ask(server, "PUT", "/load", {"qps": 0})
    assert after(server, 60.0)["replicas"] == {"0": {"outstanding": 0}}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/load", {"qps": "x"}, "the body of /load, line 1: qps should be a number, got 'x'"),
        ("/load", {"qps": -1}, "qps should be greater than or equal to 0, got -1"),
        ("/load", {"qps": 1e300}, "qps 1e+300 is out of range"),
        ("/load", '{"qps": .inf}', "qps should be a finite number"),
        ("/load", {"rate": 1}, "unknown field rate"),
        ("/load", {}, "qps is missing"),
        ("/load", [], "the body of /load holds no fields"),
        ("/load", "[" * 1000, "nested too deeply"),
        ("/replicas", {}, "replicas are given by count or by names"),
        ("/replicas", {"count": 1, "names": ["a"]}, "replicas are given by count or by names"),
        ("/replicas", {"count": 1001}, "count should be less than or equal to 1000"),
        ("/replicas", {"names": ["../x"]}, "names[0] string should match pattern"),
    ],
)
def test_a_body_that_means_nothing_is_refused_and_changes_nothing(server, path, body, said):
    before = status(server)
    code, _, text = ask(server, "PUT", path, body)
    assert code == 400
    assert said in json.loads(text)["error"]
    assert json.loads(text)["remedy"]
    assert status(server) == before


def test_what_is_not_there_and_what_is_too_large(server):
    assert ask(server, "GET", "/nothing")[0] == 404
    assert ask(server, "PUT", "/metrics", {})[0] == 404
    assert ask(server, "GET", "/replicas/none/metrics")[0] == 404
    assert ask(server, "PUT", "/load", " " * 300_000)[0] == 413
    assert ask(server, "POST", "/load", {"qps": 1})[0] == 501


def test_an_address_that_is_taken_is_told(server):
    host, _, port = server.authority.partition(":")
    with pytest.raises(InvalidInput, match=f"cannot listen on {server.authority}: Address already in use"):
        SimulatedEngineServer(a_service(), (host, int(port)))
