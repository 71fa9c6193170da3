"""What the API server refuses beyond types and bounds: rules in CEL that say what the types' own checks say.

The controller checks all of it again: a rule here only tells earlier, when the object is written. Rules are named by
the type they stand on and the field in it; `objectives[]` is each item of a list, "" the whole object.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.capacity_policy import LABEL_NAME
from controller.cluster_view import KINDS

OBJECTIVE_FORM = (
    r"^\s*(?i:ttft|itl|tpot|e2e|queue)\s*:\s*(?i:mean|p[0-9]{1,3}([.][0-9]{1,6})?)\s*(<=|≤|<)\s*"
    r"(([0-9]*[.])?[0-9]+([eE][-+]?[0-9]+)?\s*(us|µs|ms|s|m|min|h|d|w|y)?|([0-9]{1,15}(y|w|d|h|ms|m|s))+)\s*$"
)
"""Everything that `planner.objective.parse_objective` understands, and little else."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A condition in CEL, and what is said where it does not hold."""

    rule: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a rule stands: the name of a type, and a field in it."""

    type: str
    field: str = ""


_LABEL_NAMES = Rule(
    rule=f"self.all(name, name.matches('{LABEL_NAME}'))",
    message="the name of a label has letters, digits and _, and does not begin with a digit",
)

_SCALED = {kind: place.split()[0] for kind, place in KINDS.items()}

POLICY_RULES: dict[Place, tuple[Rule, ...]] = {
    Place(type="PolicySpec"): (
        Rule(
            rule="!(has(self.hpaRef) && has(self.scaledObjectRef))",
            message="hpaRef and scaledObjectRef exclude each other: KEDA owns its HPA",
        ),
        Rule(
            rule="has(self.metrics.arrivals) || (self.bounds.min > 0 && "
            "self.bounds.schedules.all(s, !has(s.min) || s.min > 0))",
            message="bounds.min 0 needs metrics.arrivals: with no replica no engine counts what arrives",
        ),
    ),
    Place(type="PolicySpec", field="objectives"): (
        Rule(
            rule="self.all(o, self.exists_one(p, "
            "p.lowerAscii().replace(' ', '').split('<')[0] == o.lowerAscii().replace(' ', '').split('<')[0]))",
            message="the same statistic is limited twice: keep the tighter objective",
        ),
    ),
    Place(type="PolicySpec", field="objectives[]"): (
        Rule(
            rule=f"self.matches(r'{OBJECTIVE_FORM}')",
            message="an objective is metric:statistic<=limit, such as ttft:p99<=500ms, itl:p95<=60ms or e2e:mean<=5s; "
            "metrics are ttft, itl, tpot, e2e and queue",
        ),
    ),
    Place(type="MetricsSource", field="matchLabels"): (_LABEL_NAMES,),
    Place(type="ArrivalsCounter", field="matchLabels"): (_LABEL_NAMES,),
    Place(type="TargetRef"): (
        Rule(
            rule=" || ".join(
                f"(self.apiVersion == '{version}' && self.kind == '{kind}')" for kind, version in _SCALED.items()
            ),
            message="what can be scaled is a "
            + " or a ".join(f"{kind} of {version}" for kind, version in _SCALED.items()),
        ),
    ),
    Place(type="StatedWorkload"): (
        Rule(
            rule="has(self.inputTokens) == has(self.outputTokens)",
            message="give inputTokens and outputTokens, or neither",
        ),
    ),
    Place(type="Bounds"): (
        Rule(rule="self.min <= self.max", message="min is more than max"),
        Rule(
            rule="!has(self.budgetPerHour) || has(self.gpuPricePerHour)", message="budgetPerHour needs gpuPricePerHour"
        ),
        Rule(
            rule="self.schedules.all(s, (has(s.min) ? s.min : self.min) <= (has(s.max) ? s.max : self.max))",
            message="in a schedule min is more than max (what it leaves out is that of bounds)",
        ),
    ),
    Place(type="Forecast", field="horizon"): (
        Rule(
            rule="type(self) == int ? self >= 0 && self <= 7200 : self == 'coldStart'",
            message="horizon is coldStart, or a whole number of seconds from 0 to 7200",
        ),
    ),
}

_TOKENS = "self.engine == 'triton' || "
_BATCHES = "self.engine != 'triton' || "

PROFILE_RULES: dict[Place, tuple[Rule, ...]] = {
    Place(type="Spec"): (
        Rule(
            rule=f"{_TOKENS}has(self.stepTime) || self.measurements.size() > 0",
            message="give stepTime, or the measurements to fit it from",
        ),
        Rule(
            rule=f"{_TOKENS}!has(self.limits.maxBatchSize)",
            message="limits.maxBatchSize is of engine triton; maxNumSeqs bounds vllm and triton-trtllm",
        ),
        Rule(
            rule=f"{_TOKENS}!has(self.limits.kvCacheTokens) || self.limits.kvCacheTokens >= self.limits.kvBlockSize",
            message="limits.kvCacheTokens is less than one block (kvBlockSize)",
        ),
        Rule(
            rule=f"{_TOKENS}self.limits.maxNumBatchedTokens >= self.limits.maxNumSeqs",
            message="limits.maxNumBatchedTokens is less than maxNumSeqs: engines refuse to start so",
        ),
        Rule(
            rule=f"{_BATCHES}self.holdTime.size() > 0 || (self.serviceTime.size() > 0 && "
            "has(self.limits.maxBatchSize))",
            message="a profile of engine triton has serviceTime and limits.maxBatchSize, or holdTime for sequences and "
            "streams",
        ),
        Rule(
            rule=f"{_BATCHES}!has(self.limits.maxBatchSize) || "
            "self.serviceTime.all(t, t.batch <= self.limits.maxBatchSize)",
            message="serviceTime has a batch that is larger than limits.maxBatchSize",
        ),
        Rule(
            rule="self.holdTime.size() == 0 || has(self.limits.sequenceBatching) || self.limits.decoupled",
            message="holdTime belongs to a model that sequences or streams hold: set limits.sequenceBatching or "
            "limits.decoupled, or drop it",
        ),
    ),
    Place(type="StepTimeTerms"): (
        Rule(
            rule="has(self.experts) == has(self.expertsPerToken) && has(self.experts) == has(self.perExpert)",
            message="experts, expertsPerToken and perExpert belong together",
        ),
        Rule(
            rule="has(self.weights) == has(self.perTokenCompute)", message="weights and perTokenCompute belong together"
        ),
        Rule(
            rule="[has(self.perSqrtDecode), has(self.experts), has(self.weights)].filter(form, form).size() <= 1",
            message="a step time has at most one of: perSqrtDecode; experts; weights with perTokenCompute",
        ),
    ),
}
