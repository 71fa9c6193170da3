"""Whatever rows Prometheus answers with, odd ones are left out and counted, and harm no other policy."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import observe as observing
from controller.answers import Answered, Unanswered, read_answer
from controller.asking import ask
from controller.length_spread import MOST_CV, read_histograms
from controller.meanings import Meaning
from controller.observe import observe_all
from controller.prometheus import Sample, _samples
from controller.queries import MEANING, plan_buckets, plan_queries
from controller.snapshot import Evidence
from tests.controller.test_observe import HEALTHY, NOW, Row, rows, target
from tests.controller.test_queries import series_of
from tests.controller.world import World, policy

GOOD, ODD = (series_of(f"ns/{name}", namespace=name) for name in ("good", "odd"))
PLAN = plan_queries([GOOD, ODD])
TRUE = [*rows(("0/now", NOW)), *rows(*((f"0/{name}", value) for name, value in HEALTHY.items()), namespace="good")]
BUCKETS = plan_buckets([GOOD, ODD], window_s=600, most=1)
GROUPS = ["0", "1", "00", "-1", "+0", "²", "١", "0x0", "1e3", "", " 0", "9" * 5000]
VALUES = st.floats() | st.sampled_from(
    [1e15, 1e18, 1e300, -1e300, 5e-324, 1e11, 2.0**63, math.inf, -math.inf, math.nan]
)
MEANT = st.builds(
    lambda group, name: f"{group}/{name}", st.sampled_from(GROUPS), st.sampled_from([*Meaning, "x", "", "0/running"])
)
ROWS = st.builds(
    lambda meaning, end, value: Row({MEANING: meaning, "namespace": "odd", "le": end}, value),
    MEANT | st.text(max_size=8),
    st.sampled_from(["1", "10", "1000", "+Inf", "-5", "1e999", "nan", "9" * 5000, "1_0", "", "x"]),
    VALUES,
)


@settings(deadline=None)
@given(st.lists(ROWS.filter(lambda row: not row.labels[MEANING].endswith("/now")), max_size=30))
def test_odd_rows_move_nothing_of_another_policy(odd):
    answer = read_answer(PLAN.queries[0], [*TRUE, *odd], asked_s=NOW, answered_s=NOW)
    assert isinstance(answer, Answered)
    alone = read_answer(PLAN.queries[0], TRUE, asked_s=NOW, answered_s=NOW)
    targets = dict.fromkeys(("ns/good", "ns/odd"), target(3))
    seen = observe_all(PLAN, [answer], targets)
    assert seen["ns/good"] == observe_all(PLAN, [alone], targets)["ns/good"]
    assert "could not be read" not in seen["ns/odd"].message
    assert answer.odd == sum(row.labels[MEANING] not in {f"0/{each}" for each in Meaning} for row in odd)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from([each for each in Meaning if each is not Meaning.NOW]), VALUES, max_size=6))
def test_whatever_the_numbers_are_there_is_a_decision(values):
    told = {**HEALTHY, **values}
    answer = Answered(asked_s=NOW, answered_s=NOW, server_s=NOW, rows={(0, ("odd",)): told})
    seen = observe_all(PLAN, [answer], {"ns/odd": target(2)})["ns/odd"]
    world = World(policy=policy(), see=lambda _, snapshot: replace(snapshot, observation=seen))
    for _ in range(3):
        assert 1 <= (world.tick().desired or 1) <= 40


@given(st.lists(ROWS, max_size=12), VALUES)
def test_odd_buckets_are_left_out(odd, value):
    meant = [Row({**row.labels, MEANING: "0/prompt_tokens_bucket"}, row.value) for row in odd]
    found = read_histograms(BUCKETS.queries[0], [*odd, *meant, Row({MEANING: "9" * 5000}, value)])
    spread = found.at(BUCKETS.engines["ns/odd"], window_s=600)
    assert spread.prompt_cv is None or 0.0 <= spread.prompt_cv <= MOST_CV


@pytest.mark.parametrize(
    "odd",
    [
        {"metric": {"pod": "a"}, "value": [1]},
        {"metric": {"pod": "a"}, "value": [1, "many"]},
        {"metric": {"pod": "a"}, "value": [10**400, "1"]},
        {"metric": {"pod": "a"}},
    ],
)
def test_an_odd_row_among_others_is_not_a_number(odd):
    good = Sample(labels={"pod": "b"}, time_s=1.0, value=2.0)
    found, kept = _samples([odd, {"metric": {"pod": "b"}, "value": [1.0, "2"]}])
    assert found.labels == {"pod": "a"}
    assert math.isnan(found.value)
    assert kept == good
    assert _samples([7, {"metric": 3, "value": [1, "1"]}, {"metric": {"pod": "b"}, "value": [1.0, "2"]}]) == [good]


def test_numbers_of_one_policy_that_cannot_be_read_spoil_no_other(monkeypatch):
    read = observing.engine_readings

    def fails(values, **more):
        if values.get(Meaning.RUNNING) == 7.0:
            raise OverflowError("int too large")
        return read(values, **more)

    monkeypatch.setattr(observing, "engine_readings", fails)
    found = {(0, ("good",)): HEALTHY, (0, ("odd",)): {**HEALTHY, Meaning.RUNNING: 7.0}}
    seen = observe_all(PLAN, [Answered(asked_s=NOW, answered_s=NOW, server_s=NOW, rows=found)], {})
    assert seen["ns/good"].evidence is Evidence.FRESH
    assert seen["ns/odd"].evidence is Evidence.CONTRADICTORY
    assert "OverflowError" in seen["ns/odd"].message


def test_an_answer_that_cannot_be_read_is_none():
    class Server:
        def instant(self, _query):
            return [Row({MEANING: 7}, 1.0)]

    (answer,) = ask(Server(), PLAN, clock=lambda: NOW)
    assert isinstance(answer, Unanswered)
    assert "could not be read" in answer.message


@pytest.mark.parametrize(
    "lengths", [{Meaning.PROMPT_SUM: 0.0}, {Meaning.OUTPUT_SUM: 0.0}, {Meaning.OUTPUT_SUM: 5e-324}]
)
def test_requests_of_no_tokens_contradict_themselves_and_are_no_error(lengths):
    answer = Answered(asked_s=NOW, answered_s=NOW, server_s=NOW, rows={(0, ("odd",)): {**HEALTHY, **lengths}})
    seen = observe_all(PLAN, [answer], {"ns/odd": target(2)})["ns/odd"]
    decision = World(see=lambda _, snapshot: replace(snapshot, observation=seen)).tick()
    assert "MetricsContradictory" in {reason.code.value for reason in decision.reasons}
