"""How lengths vary, from buckets: near the truth where they tell it, bounded, and nothing where they do not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.length_spread import MOST_CV, read_histograms, variation
from controller.prometheus import Sample
from controller.queries import MAX_QUERIES, plan_buckets, plan_queries
from controller.reasons import Code
from controller.snapshot import Evidence, Observation, Snapshot
from controller.spread_observer import AGAIN_S, POLICIES, SpreadObserver
from models.errors import InvalidInput
from tests.controller.test_queries import fleet, series_of
from tests.controller.world import TICK_S, World, codes, policy, readings

ENDS = [float(step * 10**power) for power in range(5) for step in (1, 2, 5)] + [100_000.0, math.inf]
CHANCE = np.random.default_rng(1)
N = 20_000


def cumulative(tokens: np.ndarray) -> dict[float, float]:
    """As vLLM counts them, requests a second over a hundred seconds."""
    return {end: float((np.maximum(1.0, np.rint(tokens)) <= end).sum()) / 100.0 for end in ENDS}


def lognormal(mean: float, cv: float) -> np.ndarray:
    sigma = math.sqrt(math.log1p(cv * cv))
    return mean * np.exp(sigma * CHANCE.standard_normal(N) - 0.5 * sigma**2)


@pytest.mark.parametrize("mean", [70.0, 512.0, 3000.0])
@pytest.mark.parametrize("cv", [0.5, 1.0, 1.5])
def test_smooth_laws_are_read_within_some_percent(mean: float, cv: float):
    tokens = lognormal(mean, cv)
    assert variation(cumulative(tokens), window_s=100.0) == pytest.approx(tokens.std() / tokens.mean(), rel=0.06)


def test_answers_of_geometric_length_and_two_kinds_of_prompts():
    geometric = CHANCE.exponential(150.0, N)
    assert variation(cumulative(geometric), window_s=100.0) == pytest.approx(1.0, abs=0.05)
    two = np.concatenate([lognormal(100.0, 0.3), lognormal(4000.0, 0.3)])
    assert variation(cumulative(two), window_s=100.0) == pytest.approx(two.std() / two.mean(), rel=0.1)


def test_one_length_seems_to_vary_a_little_and_errs_to_the_safe_side():
    found = variation(cumulative(np.full(N, 512.0)), window_s=100.0)
    assert found is not None
    assert 0.0 <= found < 0.2


@pytest.mark.parametrize(
    "buckets",
    [
        {},
        {math.inf: 5.0},
        {10.0: 1.0, 20.0: 2.0},
        {10.0: math.nan, math.inf: 5.0},
        {10.0: 5.0, 20.0: 9.0, math.inf: 5.0},
        {-1.0: 0.0, 10.0: 5.0, math.inf: 5.0},
        {10.0: 4.0, math.inf: 5.0},
        {10.0: 0.5, math.inf: 0.5},
    ],
    ids=["none", "no end", "no infinity", "NaN", "falls", "negative", "beyond the last end", "few requests"],
)
def test_buckets_that_do_not_tell(buckets: dict[float, float]):
    assert variation(buckets, window_s=100.0) is None


@given(st.dictionaries(st.floats(), st.floats(), max_size=8))
def test_whatever_stands_there_the_answer_is_bounded(buckets: dict[float, float]):
    found = variation(buckets, window_s=100.0)
    assert found is None or 0.0 <= found <= MOST_CV


class Server:
    """Answers every question with the same buckets for every policy that it names."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.down = False

    def instant(self, query: str) -> list[Sample]:
        self.questions.append(query)
        if self.down:
            raise InvalidInput("down")
        rows = []
        for index in range(1200):
            if f"m{index}|" in query or f'm{index}"' in query:
                labels = {"namespace": f"team-{index % 50}", "model_name": f"m{index}"}
                for number in range(2):
                    for end, value in cumulative(lognormal(500.0, 1.0)).items():
                        more = {
                            "replicast_meaning": f"{number}/prompt_tokens_bucket",
                            "le": f"{end}",
                            "cluster": "east",
                        }
                        rows.append(Sample(labels={**labels, **more}, time_s=0.0, value=value))
        return rows


def test_a_thousand_policies_are_asked_for_some_at_a_time_and_none_is_forgotten():
    now_s, server = 0.0, Server()
    spreads = SpreadObserver(clock=lambda: now_s)
    policies = [each for each in fleet(1200) if each.engine == "vllm"]
    plan = plan_queries(policies)
    known: set[str] = set()
    observations = {
        each.policy: Observation(evidence=Evidence.FRESH, readings=readings(0.0, 1.0, 1)) for each in policies
    }
    for _ in range(len(policies) // POLICIES + 1):
        before = len(server.questions)
        spreads.look(server, policies, plan, took_s=0.1)
        assert len(plan.queries) + len(server.questions) - before <= MAX_QUERIES
        known = {name for name, each in spreads.seen(observations).items() if each.readings.prompt_cv is not None}
        now_s += TICK_S
    assert known >= {each.policy for each in policies if "cluster" not in each.source.match_labels}
    assert max(map(len, server.questions)) < 30_000


def test_a_server_that_is_down_or_slow_loses_nothing_of_what_was_known():
    now_s, server = 0.0, Server()
    spreads, policies = SpreadObserver(clock=lambda: now_s), [series_of("a", namespace="team-1", model_name="m1")]
    plan = plan_queries(policies)
    observation = {"a": Observation(evidence=Evidence.FRESH, readings=readings(0.0, 1.0, 1))}
    spreads.look(server, policies, plan, took_s=9.0)
    assert server.questions == []
    spreads.look(server, policies, plan, took_s=0.1)
    now_s, server.down = 2.0 * AGAIN_S, True
    spreads.look(server, policies, plan, took_s=0.1)
    assert spreads.seen(observation)["a"].readings.prompt_cv == pytest.approx(1.0, abs=0.15)
    now_s = 3600.0 + AGAIN_S
    spreads.look(server, policies, plan, took_s=0.1)
    assert spreads.seen(observation)["a"].readings.prompt_cv is None


def test_rows_that_are_no_buckets_are_left_out():
    (query,) = plan_buckets([series_of("a", namespace="x")], window_s=600, most=1).queries
    labels = {"namespace": "x", "replicast_meaning": "0/prompt_tokens_bucket"}
    odd = (
        {"le": "many"},
        {"le": "nan"},
        {},
        {"le": "5", "replicast_meaning": "9/prompt_tokens_bucket"},
        {"le": "5", "replicast_meaning": "x"},
    )
    assert read_histograms(query, [Sample(labels={**labels, **more}, time_s=0.0, value=1.0) for more in odd]).rows == {}


def varied(prompt_cv: float | None, output_cv: float | None):
    def see(_seconds: float, snapshot: Snapshot) -> Snapshot:
        seen = readings(snapshot.now_s, 100.0, snapshot.target.pods.ready, prompt_cv=prompt_cv, output_cv=output_cv)
        return replace(snapshot, observation=Observation(evidence=Evidence.FRESH, readings=seen))

    return see


def test_a_decision_plans_with_what_histograms_say_and_else_with_what_is_stated_and_says_so():
    objectives = ["ttft:p99<=120ms"]
    told = World(see=varied(1.0, 1.0), policy=policy(objectives=objectives)).run(600.0)[-1]
    assumed = World(see=varied(None, None), policy=policy(objectives=objectives)).run(600.0)[-1]
    assert told.needed > assumed.needed
    assert Code.LENGTHS_ASSUMED not in codes(told)
    assert Code.LENGTHS_ASSUMED in codes(assumed)
    stated = {"inputTokens": 512, "outputTokens": 128}
    of_policy = World(see=varied(1.0, 1.0), policy=policy(objectives=objectives, workload=stated)).run(600.0)[-1]
    assert of_policy.needed == assumed.needed
    assert Code.LENGTHS_ASSUMED not in codes(of_policy)
