"""One way to predict and size a service gives what the commands of its engine give."""

import numpy as np
import pytest

from models.continuous_batching import predict
from models.errors import InvalidInput
from models.latency_law import LatencyLaw, slower_of
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.objective import parse_objectives
from planner.profile import load_profile, parse_profile
from planner.service import Service
from planner.service_fields import RequestFields

RERANKER = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: reranker}
spec:
  engine: triton
  model: bge-reranker-base
  gpu: {type: A10G-24GB}
  limits: {maxBatchSize: 8, maxQueueDelay: 0.01}
  serviceTime: [{batch: 1, mean: 0.028}, {batch: 8, mean: 0.084}]
"""


def chat(rate_per_s: float) -> Service:
    return Service(
        profile=load_profile("llama-3.1-8b-a100-vllm"),
        arrivals=OpenArrivals(rate_per_s=rate_per_s),
        lengths=TokenLengths.of(512, 128),
    )


def rerank(rate_per_s: float) -> Service:
    return Service(profile=parse_profile(RERANKER, name="reranker"), arrivals=OpenArrivals(rate_per_s=rate_per_s))


def test_a_service_that_makes_tokens_is_predicted_as_planner_predict_does():
    service = chat(20.0)
    direct = predict(
        service.profile.to_engine(), Workload(arrivals=service.arrivals, lengths=TokenLengths.of(512, 128)), replicas=3
    )
    found = service.predict(3)
    assert found.utilization == direct.utilization
    assert found.laws["ttft"].quantile(0.99) == direct.laws["ttft"].quantile(0.99)


@pytest.mark.parametrize(
    ("service", "objective"),
    [(chat(60.0), "ttft:p99<=500ms"), (rerank(300.0), "e2e:p99<=150ms")],
    ids=["vllm", "triton"],
)
def test_the_least_replicas_hold_and_one_fewer_does_not(service, objective):
    (limit,) = parse_objectives((objective,))
    plan = service.size((limit,))
    assert plan.at.meets(limit)
    assert plan.one_fewer is not None
    assert not plan.one_fewer.meets(limit)
    assert plan.fields["replicas"] == plan.replicas == plan.at.replicas
    assert service.predict(plan.replicas).value(limit) == pytest.approx(plan.at.value(limit))


def test_twice_what_replicas_carry_is_unstable():
    for service in (chat(1.0), rerank(1.0)):
        over = service.at_rate(2.0 * service.capacity_per_s).predict(1)
        assert not over.stable
        assert not over.laws


def test_lengths_belong_to_engines_that_make_tokens():
    with pytest.raises(InvalidInput, match="needs inputTokens and outputTokens"):
        Service(profile=load_profile("llama-3.1-8b-a100-vllm"), arrivals=OpenArrivals(rate_per_s=1.0))
    with pytest.raises(InvalidInput, match="have no tokens"):
        Service(
            profile=parse_profile(RERANKER, name="reranker"),
            arrivals=OpenArrivals(rate_per_s=1.0),
            lengths=TokenLengths.of(512, 128),
        )


def test_the_slower_of_two_crossing_laws_is_the_slower_at_every_share():
    narrow = LatencyLaw.from_samples([2.0, 2.0, 2.0, 3.0])
    wide = LatencyLaw.from_samples([1.0, 1.0, 4.0, 4.0])
    shares = np.array([0.2, 0.5, 0.7, 0.99])
    expected = np.maximum(narrow.quantiles(shares), wide.quantiles(shares))
    np.testing.assert_allclose(slower_of([narrow, wide]).quantiles(shares), expected)


def test_models_on_the_cpu_stay_out_of_plans_that_count_gpus():
    profile = parse_profile(RERANKER.replace("type: A10G-24GB", "type: CPU, perReplica: 0"), name="reranker")
    with pytest.raises(InvalidInput, match="of a model on the CPU"):
        RequestFields().service_of(profile, 10.0)
