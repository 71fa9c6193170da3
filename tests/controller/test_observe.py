"""What is believed of a policy's load, by what Prometheus answered: one table of all that can be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest

from controller.answers import Answer, Answered, Unanswered, read_answer
from controller.asking import ask
from controller.demand import arrivals_per_s
from controller.meanings import Meaning as M
from controller.observe import observe_all
from controller.queries import MEANING, plan_queries
from controller.recent_pods import RecentPods
from controller.snapshot import Evidence, Observation, Pods, Target
from models.errors import InvalidInput
from tests.controller.test_queries import series_of

NOW = 1_800_000_000.0
NAN = math.nan
HEALTHY = {
    M.SUCCEEDED: 10.0,
    M.FAILED: 0.5,
    M.REJECTED: 0.25,
    M.RUNNING: 8.0,
    M.WAITING: 2.0,
    M.RUNNING_GROWTH: 0.5,
    M.WAITING_GROWTH: -0.25,
    M.PROMPT_SUM: 5120.0,
    M.PROMPT_COUNT: 10.0,
    M.OUTPUT_SUM: 1280.0,
    M.OUTPUT_COUNT: 10.0,
    M.TTFT_SUM: 1.0,
    M.TTFT_COUNT: 10.0,
    M.ITL_SUM: 25.4,
    M.ITL_COUNT: 1270.0,
    M.E2E_SUM: 30.0,
    M.E2E_COUNT: 10.0,
    M.KV_USAGE: 0.4,
    M.PODS: 3.0,
    M.NEWEST: NOW - 3.0,
    M.OLDEST: NOW - 12.0,
    M.SCRAPES: 4.0,
    M.RESETS: 0.0,
}
OF_THE_PRESENT = {M.RUNNING, M.WAITING, M.PODS, M.NEWEST, M.OLDEST}
GATEWAY = {M.ARRIVED: 12.0, M.NEWEST: NOW - 5.0}
NOTHING: dict[M, float] = {}


def target(ready: int, replicas: int | None = None, **pods: int) -> Target:
    return Target(uid="one", replicas=ready if replicas is None else replicas, pods=Pods(ready=ready, **pods))


@dataclass(frozen=True)
class Case:
    evidence: Evidence
    said: str = ""
    values: dict[M, float] = field(default_factory=dict)
    """Other than those of healthy engines."""
    silent: bool = False
    gone: bool = False
    """Only what functions over the window say of the past is left."""
    gateway: dict[M, float] | Unanswered | None = None
    target: Target | None = field(default_factory=lambda: target(3))
    server_s: float = NOW


def answered(case: Case) -> Answered:
    values = NOTHING if case.silent else {**HEALTHY, **case.values}
    if case.gone:
        values = {meaning: value for meaning, value in values.items() if meaning not in OF_THE_PRESENT}
    rows = {(0, ("serving",)): values} if values else {}
    return Answered(asked_s=NOW - 0.5, answered_s=NOW + 0.5, server_s=case.server_s, rows=rows)


def seen(case: Case) -> Observation:
    counter = {"metric": "gateway_requests_total", "matchLabels": {"route": "chat"}}
    policy = series_of("ns/p", arrivals=None if case.gateway is None else counter, namespace="serving")
    plan = plan_queries([policy])
    answers: list[Answer] = [answered(case)] * len(plan.queries)
    if case.gateway is not None:
        rows = case.gateway if isinstance(case.gateway, dict) else {}
        told = replace(answered(case), rows={(0, ("chat",)): rows} if rows else {})
        answers[plan.arrivals["ns/p"].query] = case.gateway if isinstance(case.gateway, Unanswered) else told
    return observe_all(plan, answers, {"ns/p": case.target})["ns/p"]


CASES = {
    "all is well": Case(Evidence.FRESH),
    "more pods report than are ready": Case(Evidence.FRESH, target=target(2, starting=1)),
    "more pods report than the target has": Case(
        Evidence.CONTRADICTORY, "3 pods report and the target has 2", target=target(2)
    ),
    "those of another target report in place of its own": Case(
        Evidence.CONTRADICTORY, "add a label that only this target's have", target=target(2, unschedulable=1)
    ),
    "a pod on its way out reports": Case(Evidence.FRESH, target=target(2, there=3)),
    "pods that are not counted yet": Case(Evidence.CONTRADICTORY, "has 2", target=target(2, 4, starting=2, there=2)),
    "a pod that went a while ago is old": Case(
        Evidence.PARTIAL, "a pod has not reported since", {M.OLDEST: NOW - 46.0}, target=target(2)
    ),
    "the target is not known": Case(Evidence.FRESH, target=None),
    "a pod was restarted": Case(Evidence.FRESH, "counters began anew 1 times in 60 s", {M.RESETS: 1.0}),
    "one ready pod does not report": Case(Evidence.PARTIAL, "3 of 4 ready pods report", target=target(4)),
    "pods without the label count by address": Case(
        Evidence.PARTIAL, "2 of 3 ready pods report", {M.PODS: 1.0, M.INSTANCES: 1.0}
    ),
    "one pod reported long ago": Case(
        Evidence.PARTIAL, "a pod has not reported since 2027-01-15T07:59:14Z", {M.OLDEST: NOW - 46.0}
    ),
    "the gateway's counter is gone": Case(
        Evidence.PARTIAL, "spec.metrics.arrivals has no series; arrivals are those that the engines", gateway=NOTHING
    ),
    "the gateway's counter is old": Case(
        Evidence.PARTIAL, "its newest sample is of 2027-01-15T07:59:00Z", gateway={**GATEWAY, M.NEWEST: NOW - 60.0}
    ),
    "the gateway's counter has one sample": Case(
        Evidence.PARTIAL, "fewer than two samples in 60 s", gateway={M.NEWEST: NOW}
    ),
    "the gateway's counter is no number": Case(
        Evidence.PARTIAL, "arrived is not a number", gateway={**GATEWAY, M.ARRIVED: NAN}
    ),
    "the gateway's query is refused": Case(Evidence.PARTIAL, "too much", gateway=Unanswered(message="too much")),
    "every sample is old": Case(
        Evidence.STALE, "the newest sample is of 2027-01-15T07:59:10Z", {M.NEWEST: NOW - 50.0, M.OLDEST: NOW - 50.0}
    ),
    "scrapes are too few for a rate": Case(Evidence.STALE, "fewer than two scrapes in 60 s", {M.SCRAPES: 1.0}),
    "no series": Case(Evidence.ABSENT, "no engine reports under spec.metrics.matchLabels", silent=True),
    "all pods went just now": Case(Evidence.ABSENT, "no engine reports any more how many requests wait", gone=True),
    "no pod is ready": Case(Evidence.ABSENT, "no pod is ready yet", silent=True, target=target(0, 2, starting=2)),
    "none is to run": Case(
        Evidence.ABSENT,
        "no pod is to run, so no engine reports; spec.metrics.arrivals may",
        silent=True,
        target=target(0),
    ),
    "none is to run and the gateway is gone": Case(
        Evidence.ABSENT, "no pod is to run", silent=True, target=target(0), gateway=NOTHING
    ),
    "none is to run and the gateway's query is refused": Case(
        Evidence.UNREACHABLE, "too much", silent=True, target=target(0), gateway=Unanswered(message="too much")
    ),
    "none is to run and the gateway tells": Case(Evidence.FRESH, silent=True, target=target(0), gateway=GATEWAY),
    "none is ready yet and the gateway tells": Case(
        Evidence.FRESH, silent=True, target=target(0, 1, starting=1), gateway=GATEWAY
    ),
    "the last pods drain and the gateway tells": Case(Evidence.FRESH, target=target(0), gateway=GATEWAY),
    "at zero those that report are another's": Case(
        Evidence.CONTRADICTORY, "the target has 0", target=target(0, there=0), gateway=GATEWAY
    ),
    "at zero some are on their way out": Case(Evidence.FRESH, target=target(0, there=3), gateway=GATEWAY),
    "none reports and the gateway tells": Case(Evidence.PARTIAL, "no engine reports", silent=True, gateway=GATEWAY),
    "not a number": Case(Evidence.CONTRADICTORY, "running is not a number", {M.RUNNING: NAN}),
    "pods that are not a number": Case(Evidence.CONTRADICTORY, "pods is not a number", {M.PODS: NAN}),
    "a sum that is not a number": Case(Evidence.CONTRADICTORY, "ttft sum is not a number", {M.TTFT_SUM: NAN}),
    "negative": Case(Evidence.CONTRADICTORY, "waiting is negative (-1)", {M.WAITING: -1.0}),
    "endless": Case(Evidence.CONTRADICTORY, "succeeded is endless", {M.SUCCEEDED: math.inf}),
    "more than engines do": Case(Evidence.CONTRADICTORY, "succeeded is 1e+06 of 3 pods", {M.SUCCEEDED: 1e6}),
    "memory beyond all": Case(Evidence.CONTRADICTORY, "share of KV memory in use is 40", {M.KV_USAGE: 40.0}),
    "a prompt of all books": Case(Evidence.CONTRADICTORY, "mean of prompt tokens is 1e+11", {M.PROMPT_SUM: 1e12}),
    "prompts of no token": Case(
        Evidence.CONTRADICTORY, "mean of prompt tokens of the requests that ended is 0", {M.PROMPT_SUM: 0.0}
    ),
    "answers of no token": Case(
        Evidence.CONTRADICTORY, "mean of output tokens of the requests that ended is 0.5", {M.OUTPUT_SUM: 5.0}
    ),
    "requests of no pod": Case(
        Evidence.CONTRADICTORY, "8 requests run although the target has no pod", target=target(0, 2, unschedulable=2)
    ),
    "pods that fail their readiness under load are pods": Case(Evidence.FRESH, target=target(0, 3, starting=3)),
    "the server's clock is ahead": Case(
        Evidence.SKEWED, "is more than 5 s ahead of the controller's", server_s=NOW + 10.0
    ),
    "the server's clock is behind": Case(
        Evidence.SKEWED, "is more than 5 s behind the controller's", server_s=NOW - 10.0
    ),
    "a sample of the future": Case(Evidence.SKEWED, "a sample is more than 5 s in the future", {M.NEWEST: NOW + 8.0}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_believed(case: Case):
    observation = seen(case)
    assert (observation.evidence, case.said in observation.message) == (case.evidence, True), observation.message
    assert (observation.readings is not None) or not observation.evidence.shows_growth


def test_healthy_engines_are_read_as_they_are():
    found = seen(Case(Evidence.FRESH)).readings
    assert found is not None
    assert (found.succeeded_per_s, found.failed_per_s, found.rejected_per_s, found.growth_per_s) == (
        10,
        0.5,
        0.25,
        0.25,
    )
    assert arrivals_per_s(found) == 11.0
    assert (found.prompt_tokens, found.output_tokens) == (512.0, 128.0)
    assert (found.ttft_s, found.itl_s, found.e2e_s) == (0.1, 0.02, 3.0)
    assert (found.running, found.waiting, found.kv_usage, found.pods, found.resets) == (8.0, 2.0, 0.4, 3, 0.0)
    assert (found.window_s, found.newest_s, found.oldest_s) == (60.0, NOW - 3.0, NOW - 12.0)


def test_the_gateways_counter_is_the_demand_where_there_is_one():
    found = seen(Case(Evidence.FRESH, gateway=GATEWAY)).readings
    assert found is not None
    assert arrivals_per_s(found) == 12.0
    asleep = seen(Case(Evidence.FRESH, silent=True, target=target(0), gateway=GATEWAY)).readings
    assert asleep is not None
    assert (arrivals_per_s(asleep), asleep.pods, asleep.newest_s, asleep.running) == (12.0, 0, NOW - 5.0, None)


def test_a_mean_of_no_request_is_not_known_and_no_contradiction():
    idle = {meaning: 0.0 for meaning in HEALTHY if meaning.value.endswith(("_sum", "_count"))}
    observation = seen(Case(Evidence.FRESH, values={**idle, M.SUCCEEDED: 0.0}))
    assert observation.evidence is Evidence.FRESH
    found = observation.readings
    assert (found.prompt_tokens, found.output_tokens, found.ttft_s, found.itl_s, found.e2e_s) == (None,) * 5
    assert found.succeeded_per_s == 0.0


def test_what_an_engine_does_not_count_is_not_known():
    plan = plan_queries([series_of("ns/p", "triton", namespace="serving")])
    counted = {M.SUCCEEDED, M.FAILED, M.WAITING, M.E2E_SUM, M.E2E_COUNT, M.PODS, M.NEWEST, M.OLDEST, M.SCRAPES}
    rows = {(0, ("serving",)): {meaning: HEALTHY[meaning] for meaning in counted}}
    answer = Answered(asked_s=NOW, answered_s=NOW, server_s=NOW, rows=rows)
    observation = observe_all(plan, [answer], {"ns/p": target(3)})["ns/p"]
    found = observation.readings
    assert observation.evidence is Evidence.FRESH
    assert (found.running, found.ttft_s, found.itl_s, found.kv_usage, found.prompt_tokens) == (None,) * 5
    assert (found.e2e_s, found.waiting) == (3.0, 2.0)


def test_requests_that_a_restarted_pod_lost_are_no_fall_of_the_load():
    lost = {M.RUNNING_GROWTH: -2.0, M.WAITING_GROWTH: 0.0}
    kept, restarted = (seen(Case(Evidence.FRESH, values={**lost, M.RESETS: n})).readings for n in (0.0, 1.0))
    assert (kept.growth_per_s, restarted.growth_per_s) == (-2.0, 0.0)


@dataclass(frozen=True)
class Row:
    labels: dict[str, str]
    value: float


class Server:
    """Answers what it is told to, and time goes on meanwhile."""

    def __init__(self, *answers: object, takes_s: float = 1.0) -> None:
        self.answers, self.takes_s, self.now_s, self.asked = list(answers), takes_s, NOW, 0

    def clock(self) -> float:
        return self.now_s

    def instant(self, query: str) -> list[Row]:  # noqa: ARG002
        self.asked += 1
        self.now_s += self.takes_s
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def rows(*named: tuple[str, float], **labels: str) -> list[Row]:
    return [Row({MEANING: name, **labels}, value) for name, value in named]


PLAN = plan_queries([series_of("a", namespace="x"), series_of("b", "triton", namespace="x"), series_of("c", model="y")])
EMPTY = rows(("0/now", NOW))


def test_a_refused_query_spoils_no_other():
    server = Server(InvalidInput("no"), EMPTY)
    answers = ask(server, PLAN, clock=server.clock)
    assert isinstance(answers[1], Answered)
    found = observe_all(PLAN, answers, {})
    blind = Observation(evidence=Evidence.UNREACHABLE, message="no")
    assert [policy for policy, each in found.items() if each == blind] == [
        policy for policy, place in PLAN.engines.items() if place.query == 0
    ]


def test_a_question_that_takes_all_the_time_leaves_none_for_more():
    server = Server(InvalidInput("late"), EMPTY, takes_s=11.0)
    answers = ask(server, PLAN, clock=server.clock)
    assert server.asked == 1
    assert answers == (
        Unanswered(message="late"),
        Unanswered(message="Prometheus took more than 10 s for the questions before"),
    )


def test_a_slow_answer_is_no_skew():
    server = Server(rows(("0/now", NOW + 1.0)), EMPTY, takes_s=8.0)
    first, _ = ask(server, PLAN, clock=server.clock)
    assert first.skew_s == 0.0


def test_rows_that_were_not_asked_for_are_left_out():
    (query, *_) = PLAN.queries
    name = query.labels[0][0]
    strange = [Row({}, 1.0), *rows(("9/pods", 1.0), ("x/pods", 1.0), ("0/whatever", 1.0), ("", 1.0), **{name: "x"})]
    answer = read_answer(query, [*EMPTY, *strange, *rows(("0/pods", 2.0), **{name: "x"})], asked_s=NOW, answered_s=NOW)
    assert answer == Answered(asked_s=NOW, answered_s=NOW, server_s=NOW, rows={(0, ("x",)): {M.PODS: 2.0}}, odd=5)


@pytest.mark.parametrize("told", [[], rows(("0/now", NAN)), rows(("0/pods", 1.0))], ids=["nothing", "NaN", "others"])
def test_an_answer_without_the_time_is_none(told):
    answer = read_answer(PLAN.queries[0], told, asked_s=NOW, answered_s=NOW)
    assert "is it Prometheus?" in answer.message


def test_pods_that_went_a_moment_ago_are_no_contradiction():
    now = [0.0]
    recent = RecentPods(within_s=60.0, clock=lambda: now[0])
    for now_s, pods, most in ((0.0, 3, 3), (50.0, 2, 3), (70.0, 2, 2)):
        now[0] = now_s
        assert recent.seen({"ns/p": target(pods)})["ns/p"].pods.most_reporting == most
    assert recent.seen({"ns/p": None, "ns/q": target(1)})["ns/q"].pods.most_reporting == 1
