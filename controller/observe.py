"""From the answers of a tick to what is believed of each policy's load: a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.answers import Answer, Answered, Unanswered, Values
from controller.meanings import Meaning
from controller.queries import Place, Plan
from controller.readings import contradictions, engine_readings, pods_of
from controller.snapshot import EngineReadings, Evidence, Observation, Target
from planner.units import format_seconds


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What samples must be, to be believed."""

    window_s: int = 60
    """Of rates and means; several scrapes."""
    scrape_interval_s: float = 15.0
    least_stale_s: float = 45.0
    skew_s: float = 5.0
    """Clocks may differ by so much."""

    @property
    def stale_after_s(self) -> float:
        """Age of a sample that no longer tells of the present."""
        return max(self.least_stale_s, 3.0 * self.scrape_interval_s)


@dataclass(frozen=True, kw_only=True)
class _Arrivals:
    """What a counter before the engines says, or why it says nothing."""

    per_s: float | None = None
    newest_s: float = 0.0
    problem: str = ""
    unanswered: bool = False


def observe_all(
    plan: Plan, answers: Sequence[Answer], targets: Mapping[str, Target | None], trust: Trust | None = None
) -> dict[str, Observation]:
    """What is believed of each policy that was asked for; `targets` by policy, None where it is not known."""
    trust = trust or Trust()
    policies = dict.fromkeys([*plan.engines, *plan.arrivals, *plan.problems])
    return {policy: observe(policy, plan, answers, targets.get(policy), trust) for policy in policies}


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
        told = f"Prometheus's clock is {format_seconds(abs(answer.skew_s))} {ahead} the controller's"
        return Observation(evidence=Evidence.SKEWED, message=told)
    return _Case(answer, answer.at(place), _arrivals(plan.arrivals.get(policy), answers, trust), target, trust).seen()


def _arrivals(place: Place | None, answers: Sequence[Answer], trust: Trust) -> _Arrivals | None:
    """None where the policy names no counter."""
    if place is None:
        return None
    answer = answers[place.query]
    if isinstance(answer, Unanswered):
        return _Arrivals(problem=answer.message, unanswered=True)
    values = answer.at(place)
    rate, newest_s = values.get(Meaning.ARRIVED), values.get(Meaning.NEWEST)
    if newest_s is None:
        return _Arrivals(problem="the counter of spec.metrics.arrivals has no series")
    wrong = next(contradictions(values, pods=1), None)
    if wrong is not None:
        return _Arrivals(problem=f"of spec.metrics.arrivals, {wrong}")
    age_s = answer.server_s - newest_s
    if age_s > trust.stale_after_s or rate is None:
        return _Arrivals(
            problem=f"the counter of spec.metrics.arrivals has fewer than two samples in {trust.window_s} s, the last "
            f"{format_seconds(age_s)} ago"
        )
    return _Arrivals(per_s=rate, newest_s=newest_s)


class _Case:
    """One policy whose query was answered."""

    def __init__(
        self, answer: Answered, values: Values, arrivals: _Arrivals | None, target: Target | None, trust: Trust
    ) -> None:
        self._answer, self._values, self._arrivals, self._target, self._trust = answer, values, arrivals, target, trust
        self._pods = pods_of(values) if all(each == each for each in values.values()) else 0
        self._arrived = None if arrivals is None else arrivals.per_s

    def seen(self) -> Observation:
        """The first that is true."""
        if not self._values or (self._target is not None and self._target.replicas == 0):
            return self._silent()
        wrong = "; ".join(list(contradictions(self._values, pods=self._pods))[:3]) or self._of_nobody()
        if wrong:
            return Observation(evidence=Evidence.CONTRADICTORY, message=wrong)
        stale = self._stale()
        if stale:
            return Observation(evidence=Evidence.STALE, message=stale, readings=self._readings())
        partial = self._partial()
        if partial:
            return Observation(evidence=Evidence.PARTIAL, message=partial, readings=self._readings())
        return Observation(evidence=Evidence.FRESH, message=self._restarted(), readings=self._readings())

    def _silent(self) -> Observation:
        """No engine is to report, or none does: the counter before them may still tell of the load."""
        ready = None if self._target is None else self._target.pods.ready
        wanted = None if self._target is None else self._target.replicas
        why = {0: "no pod is to run, so no engine reports"}.get(
            -1 if wanted is None else wanted,
            "no pod is ready, and no engine reports"
            if ready == 0
            else "no engine reports under spec.metrics.matchLabels",
        )
        arrivals = self._arrivals
        if arrivals is None:
            hint = "; spec.metrics.arrivals may name a counter that sees requests then" if wanted == 0 else ""
            return Observation(evidence=Evidence.ABSENT, message=why + hint)
        if arrivals.per_s is None:
            evidence = Evidence.UNREACHABLE if arrivals.unanswered else Evidence.ABSENT
            return Observation(evidence=evidence, message=f"{why}; {arrivals.problem}")
        wrong = next(contradictions(self._values, pods=self._pods), None)
        if wrong is not None:
            return Observation(evidence=Evidence.CONTRADICTORY, message=wrong)
        evidence = Evidence.FRESH if ready == 0 or wanted == 0 else Evidence.PARTIAL
        return Observation(evidence=evidence, message=why, readings=self._readings())

    def _of_nobody(self) -> str:
        if self._target is None or not self._values.get(Meaning.RUNNING):
            return ""
        pods = self._target.pods
        if pods.ready + pods.starting + pods.failing > 0:
            return ""
        return (
            f"{self._values[Meaning.RUNNING]:g} requests run although the target has no pod: does "
            "spec.metrics.matchLabels name another target's series?"
        )

    def _stale(self) -> str:
        newest_s = self._values.get(Meaning.NEWEST)
        if newest_s is None:
            return "no engine says how many requests wait, so that nothing tells of when they reported"
        age_s, window_s = self._answer.server_s - newest_s, self._trust.window_s
        if age_s > self._trust.stale_after_s:
            return f"the newest sample is {format_seconds(age_s)} old"
        if self._values.get(Meaning.SCRAPES, 0.0) < 2.0:
            return f"there are fewer than two scrapes in {window_s} s, so that nothing tells of rates"
        return ""

    def _partial(self) -> str:
        ready = None if self._target is None else self._target.pods.ready
        if ready is not None and self._pods < ready:
            return f"{self._pods} of {ready} ready pods report"
        age_s = self._answer.server_s - self._values.get(Meaning.OLDEST, self._answer.server_s)
        if age_s > self._trust.stale_after_s:
            return f"a pod has not reported for {format_seconds(age_s)}"
        if self._arrivals is not None and self._arrivals.per_s is None:
            return f"{self._arrivals.problem}; arrivals are counted by the engines meanwhile"
        return ""

    def _restarted(self) -> str:
        resets = self._values.get(Meaning.RESETS, 0.0)
        return f"counters began anew {resets:g} times in {self._trust.window_s} s" if resets else ""

    def _readings(self) -> EngineReadings:
        at_s = self._answer.server_s if self._arrivals is None else self._arrivals.newest_s
        return engine_readings(self._values, window_s=self._trust.window_s, at_s=at_s, arrived_per_s=self._arrived)
