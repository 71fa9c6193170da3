"""`status` of a policy: what a decision was, and since when its conditions are what they are."""

from __future__ import annotations

from controller.capacity_model import ObjectiveValue
from controller.decision import Condition, Decision, DemandView
from controller.policy_status import PolicyStatus, status_of
from controller.reasons import Code, Reason

READY = Condition(type="Ready", status="True", reason="Ready", message="the policy is decided on at every tick")
DECISION = Decision(
    at_s=1_800_000_000.0,
    policy="serving/chat",
    generation=3,
    current=2,
    ready=2,
    needed=4,
    desired=3,
    reasons=(Reason(code=Code.PACED, message="4 are needed; the scale-up policy allows 3 now"),),
    conditions=(READY,),
    demand=DemandView(arriving_per_s=41.2345, planned_per_s=60.0, horizon_s=180.0, quantile=0.95, prompt_tokens=512.3),
    binding="ttft:p99<=500ms",
    predicted=(ObjectiveValue(objective="ttft:p99<=500ms", limit_s=0.5, value_s=0.412345),),
    one_fewer=(ObjectiveValue(objective="ttft:p99<=500ms", limit_s=0.5, value_s=None),),
)
AT = "2027-01-15T08:00:00Z"


def test_a_decision_as_its_status():
    assert status_of(DECISION) == {
        "observedGeneration": 3,
        "lastDecisionTime": AT,
        "currentReplicas": 2,
        "readyReplicas": 2,
        "neededReplicas": 4,
        "desiredReplicas": 3,
        "demand": {
            "arrivingPerSecond": 41.2,
            "plannedPerSecond": 60.0,
            "horizonSeconds": 180.0,
            "quantile": 0.95,
            "inputTokens": 512.0,
            "outputTokens": None,
            "slowdown": 1.0,
        },
        "binding": "ttft:p99<=500ms",
        "predicted": [{"objective": "ttft:p99<=500ms", "limit": 0.5, "value": 0.412, "met": True}],
        "oneFewer": [{"objective": "ttft:p99<=500ms", "limit": 0.5, "met": False}],
        "reasons": [{"code": "Paced", "message": "4 are needed; the scale-up policy allows 3 now"}],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Ready",
                "message": "the policy is decided on at every tick",
                "observedGeneration": 3,
                "lastTransitionTime": AT,
            }
        ],
        "memory": None,
    }


def test_what_is_not_known_any_more_is_removed():
    blind = Decision(
        at_s=0.0, policy="serving/chat", generation=3, current=None, ready=None, needed=None, desired=None, reasons=(),
        conditions=(),
    )  # fmt: skip
    status = status_of(blind)
    assert set(status) == {str(field.alias) for field in PolicyStatus.model_fields.values()}
    gone = {name for name, value in status.items() if value is None}
    assert gone == {
        "currentReplicas", "readyReplicas", "neededReplicas", "desiredReplicas", "demand", "binding", "memory",
    }  # fmt: skip


def later(**condition: str) -> Decision:
    changed = Condition(**{**vars(READY), **condition})
    return Decision(**{**vars(DECISION), "at_s": DECISION.at_s + 60.0, "conditions": (changed,)})


def transition(decision: Decision) -> str:
    (told,) = status_of(decision, status_of(DECISION))["conditions"]
    return told["lastTransitionTime"]


def test_a_condition_that_stays_keeps_its_time():
    assert transition(later(message="still")) == AT
    assert transition(later(status="False", reason="MetricsStale")) == "2027-01-15T08:01:00Z"


def test_an_endless_latency_and_a_long_objective_are_told_too():
    endless = ObjectiveValue(objective="e2e:p99<=" + "0" * 300 + "1s", limit_s=1.0, value_s=float("inf"))
    (told,) = status_of(Decision(**{**vars(DECISION), "predicted": (endless,)}))["predicted"]
    assert told == {"objective": "e2e:p99<=" + "0" * 244, "limit": 1.0, "met": False}


def test_a_long_message_is_cut():
    long = Decision(**{**vars(DECISION), "reasons": (Reason(code=Code.STEADY, message="x" * 5000),)})
    (told,) = status_of(long)["reasons"]
    assert len(told["message"]) == 1024
    assert told["message"].endswith("x…")
