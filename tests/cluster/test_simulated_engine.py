"""A real Prometheus scrapes simulated engines, finds new ones as it finds pods, and sees what the load does to them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.simulated_engine_server import SimulatedEngineServer
from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.profile import load_profile, parse_profile
from planner.simulated_service.service import SimulatedService, simulated_batchers, simulated_tokens
from tests.cluster.prometheus import running_prometheus, value_of
from tests.cluster.waiting import eventually
from tests.planner.test_simulated_pages import TRITON

SPEED = 10.0


def chat() -> SimulatedService:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=10.0), lengths=TokenLengths.of(512.0, 128.0))
    return simulated_tokens(load_profile("llama-3.1-8b-a100-vllm"), workload, routing=Routing.RANDOM, seed=1)


def reranker() -> SimulatedService:
    arrivals = OpenArrivals(rate_per_s=20.0)
    return simulated_batchers(parse_profile(TRITON, name="reranker"), arrivals, routing=Routing.RANDOM, seed=1)


def scraping(targets: Path) -> dict:
    jobs = [{"job_name": "engines", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}]
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}


class Observed:
    """Engines, and the Prometheus that scrapes them."""

    def __init__(self, prometheus: str, targets: Path, servers: dict[str, SimulatedEngineServer]) -> None:
        self.prometheus, self.targets, self.servers = prometheus, targets, servers

    def put(self, engine: str, path: str, body: object) -> None:
        url = f"http://{self.servers[engine].authority}{path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            self.discover()

    def discover(self) -> None:
        """What service discovery does for pods."""
        found = []
        for server in self.servers.values():
            with urllib.request.urlopen(f"http://{server.authority}/targets", timeout=10) as answer:
                found += json.load(answer)
        written = self.targets.with_suffix(".new")
        written.write_text(json.dumps(found), encoding="utf-8")
        written.replace(self.targets)

    def value(self, query: str) -> float:
        return value_of(self.prometheus, query) or 0.0


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("prometheus")
    targets = folder / "targets.json"
    at = ("127.0.0.1", 0)
    with (
        SimulatedEngineServer(chat(), at, speed=SPEED) as vllm,
        SimulatedEngineServer(reranker(), at, speed=SPEED) as triton,
        running_prometheus(folder, scraping(targets)) as prometheus,
    ):
        both = Observed(prometheus, targets, {"vllm": vllm, "triton": triton})
        both.put("vllm", "/replicas", {"names": ["chat-0"]})
        both.put("triton", "/replicas", {"names": ["reranker-0"]})
        eventually(lambda: both.value("count(up == 1)"), lambda seen: seen == 2)
        yield both


def test_arrivals_and_latencies_follow_the_load(observed):
    rate = 'sum(rate(vllm:request_success_total{finished_reason="length"}[5s]))'
    first = "histogram_quantile(0.5, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5s])))"
    eventually(lambda: observed.value(rate), lambda seen: abs(seen / (SPEED * 10) - 1) < 0.2)
    calm_s = observed.value(first)
    assert 0.01 < calm_s < 0.06
    observed.put("vllm", "/load", {"qps": 60})  # twice what one replica carries
    eventually(lambda: observed.value("vllm:num_requests_waiting"), lambda seen: seen > 100)
    eventually(lambda: observed.value(first), lambda seen: seen > 10 * calm_s)
    observed.put("vllm", "/replicas", {"names": ["chat-0", "chat-1", "chat-2", "chat-3"]})
    eventually(lambda: observed.value('count(vllm:num_requests_running{pod=~"chat-.*"})'), lambda seen: seen == 4)
    eventually(lambda: observed.value("sum(vllm:num_requests_waiting)"), lambda seen: seen == 0)


def test_triton_tells_its_queue_and_its_batches(observed):
    batch = "sum(rate(nv_inference_count[5s])) / sum(rate(nv_inference_exec_count[5s]))"
    queue_s = "1e-6 * sum(rate(nv_inference_queue_duration_us[5s])) / sum(rate(nv_inference_request_success[5s]))"
    eventually(lambda: observed.value(batch), lambda seen: 1.0 < seen < 3.0)
    observed.put("triton", "/load", {"qps": 85})
    eventually(lambda: observed.value(batch), lambda seen: seen > 5.0)
    assert observed.value(queue_s) > 0.02
    assert observed.value('nv_inference_pending_request_count{model="bge-reranker-base"}') >= 0
