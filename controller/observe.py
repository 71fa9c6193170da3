"""From the answers of a tick to what is believed of each policy's load: a pure function."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.answers import Answer, Answered, Unanswered, Values
from controller.gateway_arrivals import GatewayArrivals, gateway_arrivals
from controller.meanings import Meaning
from controller.queries import Plan
from controller.readings import contradictions, engine_readings, pods_of
from controller.snapshot import EngineReadings, Evidence, Observation, Target
from controller.trust import Trust, at

LOG = logging.getLogger("replicast.metrics")


def observe_all(
    plan: Plan, answers: Sequence[Answer], targets: Mapping[str, Target | None], trust: Trust | None = None
) -> dict[str, Observation]:
    """What is believed of each policy that was planned for; `targets` by policy, None where it is not known."""
    policies = dict.fromkeys([*plan.engines, *plan.problems])
    return {policy: _alone(policy, plan, answers, targets.get(policy), trust or Trust()) for policy in policies}


def _alone(policy: str, plan: Plan, answers: Sequence[Answer], target: Target | None, trust: Trust) -> Observation:
    """Where looking fails, which is an error of ours, the others are looked at all the same."""
    try:
        return observe(policy, plan, answers, target, trust)
    except Exception as error:
        LOG.exception("%s: its numbers could not be read", policy)
        message = f"its numbers could not be read: {type(error).__name__}: {error}"[:500]
        return Observation(evidence=Evidence.CONTRADICTORY, message=message)


def observe(policy: str, plan: Plan, answers: Sequence[Answer], target: Target | None, trust: Trust) -> Observation:
    """What is believed of one policy's load."""
    if policy in plan.problems:
        return Observation(evidence=Evidence.ABSENT, message=plan.problems[policy])
    place = plan.engines[policy]
    answer = answers[place.query]
    if isinstance(answer, Unanswered):
        return Observation(evidence=Evidence.UNREACHABLE, message=answer.message)
    if abs(answer.skew_s) > trust.skew_s:
        ahead = "ahead of" if answer.skew_s > 0.0 else "behind"
        told = f"Prometheus's clock is more than {trust.skew_s:g} s {ahead} the controller's"
        return Observation(evidence=Evidence.SKEWED, message=told)
    return _Case(
        answer=answer,
        values=answer.at(place),
        arrivals=gateway_arrivals(policy, plan, answers, trust),
        target=target,
        trust=trust,
        window_s=plan.window_s,
    ).seen()


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One policy whose query was answered."""

    answer: Answered
    values: Values
    arrivals: GatewayArrivals | None
    target: Target | None
    trust: Trust
    window_s: int

    def seen(self) -> Observation:
        """The first doubt that there is."""
        wrong = "; ".join(list(contradictions(self.values, pods=pods_of(self.values)))[:3])
        if wrong:
            return Observation(evidence=Evidence.CONTRADICTORY, message=wrong)
        # Functions over a window tell of pods for as long after they have gone.
        if Meaning.NEWEST not in self.values:
            return self._silent()
        if self._wanted == 0:
            others = self._of_others() if self.target is not None and self.target.pods.there is not None else ""
            return Observation(evidence=Evidence.CONTRADICTORY, message=others) if others else self._silent()
        doubts = (
            (Evidence.CONTRADICTORY, self._of_nobody()),
            (Evidence.CONTRADICTORY, self._of_others()),
            (Evidence.SKEWED, self._ahead()),
            (Evidence.STALE, self._stale()),
            (Evidence.PARTIAL, self._partial()),
        )
        evidence, message = next((doubt for doubt in doubts if doubt[1]), (Evidence.FRESH, self._restarted()))
        return Observation(evidence=evidence, message=message, readings=self._readings())

    @property
    def _ready(self) -> int | None:
        return None if self.target is None else self.target.pods.ready

    @property
    def _wanted(self) -> int | None:
        return None if self.target is None else self.target.replicas

    def _silent(self) -> Observation:
        """No engine is to report, or none does: the counter before them may still tell of the load."""
        why = "no engine reports under spec.metrics.matchLabels"
        if self.values:
            why = f"no engine reports any more how many requests wait; one did within {self.window_s} s"
        if self._wanted == 0:
            why = "no pod is to run, so no engine reports"
        elif self._ready == 0:
            why = "no pod is ready yet, and no engine reports"
        if self.arrivals is None:
            hint = "; spec.metrics.arrivals may name a counter that sees requests then" if self._wanted == 0 else ""
            return Observation(evidence=Evidence.ABSENT, message=why + hint)
        if self.arrivals.per_s is None:
            evidence = Evidence.UNREACHABLE if self.arrivals.unanswered else Evidence.ABSENT
            return Observation(evidence=evidence, message=f"{why}; {self.arrivals.problem}")
        evidence = Evidence.FRESH if self._wanted == 0 or self._ready == 0 else Evidence.PARTIAL
        return Observation(evidence=evidence, message=why, readings=self._readings())

    def _of_nobody(self) -> str:
        running = self.values.get(Meaning.RUNNING, 0.0)
        if self.target is None or not running:
            return ""
        pods = self.target.pods
        if pods.ready + pods.starting + pods.failing > 0:
            return ""
        return (
            f"{running:g} requests run although the target has no pod: does spec.metrics.matchLabels name another "
            "target's series?"
        )

    def _of_others(self) -> str:
        """More pods report than the target has: some of them are another's, and its own may be silent among them.

        Pods that went a moment ago may still be told of: where samples are old, that is said instead.
        """
        reporting = pods_of(self.values)
        if self.target is None or reporting <= self.target.pods.most_reporting or self._silent_pod():
            return ""
        return (
            f"{reporting} pods report and the target has {self.target.pods.most_reporting}: spec.metrics.matchLabels "
            "names another target's series too; add a label that only this target's have"
        )

    def _silent_pod(self) -> str:
        oldest_s = self.values.get(Meaning.OLDEST, self.answer.server_s)
        if self.answer.server_s - oldest_s > self.trust.stale_after_s:
            return f"a pod has not reported since {at(oldest_s)}"
        return ""

    def _ahead(self) -> str:
        ahead_s = self.values[Meaning.NEWEST] - self.answer.server_s
        return f"a sample is more than {self.trust.skew_s:g} s in the future" if ahead_s > self.trust.skew_s else ""

    def _stale(self) -> str:
        newest_s = self.values[Meaning.NEWEST]
        if self.answer.server_s - newest_s > self.trust.stale_after_s:
            return f"the newest sample is of {at(newest_s)}"
        if self.values.get(Meaning.SCRAPES, 0.0) < 2.0:
            return f"there are fewer than two scrapes in {self.window_s} s: a window takes four scrape intervals"
        return ""

    def _partial(self) -> str:
        return next(self._missing(), "")

    def _missing(self) -> Iterator[str]:
        pods = pods_of(self.values)
        if self._ready is not None and pods < self._ready:
            yield f"{pods} of {self._ready} ready pods report"
        if self._silent_pod():
            yield self._silent_pod()
        if self.arrivals is not None and self.arrivals.per_s is None:
            yield f"{self.arrivals.problem}; arrivals are those that the engines count"

    def _restarted(self) -> str:
        resets = self.values.get(Meaning.RESETS, 0.0)
        return f"counters began anew {resets:g} times in {self.window_s} s" if resets else ""

    def _readings(self) -> EngineReadings:
        arrived = None if self.arrivals is None else self.arrivals.per_s
        at_s = self.answer.server_s if self.arrivals is None or arrived is None else self.arrivals.newest_s
        return engine_readings(self.values, window_s=self.window_s, at_s=at_s, arrived_per_s=arrived)
