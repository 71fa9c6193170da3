"""A real Prometheus scrapes simulated engines and sees what the load does to them; their replicas may be pods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.prediction import Routing
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.profile import load_profile, parse_profile
from planner.simulated_service.service import SimulatedService, simulated_batchers, simulated_tokens
from tests.cluster.manifests import READY_AFTER, deployment
from tests.cluster.observed_engines import ObservedEngines, observed_engines
from tests.cluster.waiting import eventually
from tests.planner.simulated_profiles import TRITON

SPEED = 10.0


def chat() -> SimulatedService:
    workload = Workload(arrivals=OpenArrivals(rate_per_s=10.0), lengths=TokenLengths.of(512.0, 128.0))
    return simulated_tokens(load_profile("llama-3.1-8b-a100-vllm"), workload, routing=Routing.RANDOM, seed=1)


def reranker() -> SimulatedService:
    arrivals = OpenArrivals(rate_per_s=20.0)
    return simulated_batchers(parse_profile(TRITON, name="reranker"), arrivals, routing=Routing.RANDOM, seed=1)


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> Iterator[ObservedEngines]:
    services = {"chat": chat(), "reranker": reranker()}
    with observed_engines(tmp_path_factory.mktemp("prometheus"), services, speed=SPEED) as observed:
        observed.replicas("chat", ["chat-0"])
        observed.replicas("reranker", ["reranker-0"])
        eventually(lambda: observed.value("count(up == 1)"), lambda seen: seen == 2)
        yield observed


def test_what_arrives_is_served_and_counted(engines):
    rate = 'sum(rate(vllm:request_success_total{finished_reason="length"}[5s]))'
    first = "histogram_quantile(0.5, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5s])))"
    eventually(lambda: engines.value(rate), lambda seen: abs(seen / (SPEED * 10) - 1) < 0.2)
    assert 0.01 < engines.value(first) < 0.06


def test_pods_that_become_ready_relieve_the_queue(engines, namespace, gpu_nodes):
    """The whole: a load that one replica cannot carry, a Deployment that is scaled, its cold start, and the relief."""
    gpu_nodes(1, 8)
    chat = deployment("chat", pool=namespace.name, annotations={READY_AFTER: "2s"})
    namespace.apps.create_namespaced_deployment(namespace.name, chat)

    def ready() -> list[str]:
        return [
            pod.metadata.name
            for pod in namespace.pods()
            for each in pod.status.conditions or []
            if each.type == "Ready" and each.status == "True"
        ]

    waiting = "sum(vllm:num_requests_waiting)"
    with engines.following("chat", ready):
        eventually(lambda: engines.value('count(vllm:num_requests_waiting{pod=~"chat-.*-.*"})'), lambda seen: seen == 1)
        engines.load("chat", 60.0)
        eventually(lambda: engines.value(waiting), lambda seen: seen > 100)
        namespace.apps.patch_namespaced_deployment_scale("chat", namespace.name, {"spec": {"replicas": 4}})
        eventually(lambda: engines.value("count(vllm:num_requests_waiting)"), lambda seen: seen == 4)
        eventually(lambda: engines.value(waiting), lambda seen: seen == 0)


def test_triton_tells_its_queue_and_its_batches(engines):
    batch = "sum(rate(nv_inference_count[5s])) / sum(rate(nv_inference_exec_count[5s]))"
    queue_s = "1e-6 * sum(rate(nv_inference_queue_duration_us[5s])) / sum(rate(nv_inference_request_success[5s]))"
    eventually(lambda: engines.value(batch), lambda seen: 1.0 < seen < 3.0)
    engines.load("reranker", 85.0)
    eventually(lambda: engines.value(batch), lambda seen: seen > 5.0)
    assert engines.value(queue_s) > 0.02
