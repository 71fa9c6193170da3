"""What the API server refuses beyond types and bounds: rules in CEL that say what the types' own checks say.

The controller checks all of it again: a rule here only tells earlier, when the object is written. Rules are named by
the type they stand on and the field in it; `objectives[]` is each item of a list, "" the whole object.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.capacity_policy import LABEL_NAME
from controller.cluster_view import KINDS

_NUMBER = "([0-9]*[.])?[0-9]+([eE][-+]?[0-9]{1,2})?"
_TOGETHER = "".join(f"({number}{unit})?" for number, unit in (
    ("0{0,2}1", "w"), ("[0-9]{1,2}", "d"), ("[0-9]{1,3}", "h"), ("[0-9]{1,5}", "m"), ("[0-9]{1,7}", "s"),
    ("[0-9]{1,10}", "ms"),
))  # fmt: skip
"""Each no more than the longest limit."""
OBJECTIVE_FORM = (
    r"^\s*(?i:ttft|itl|tpot|e2e|queue)\s*:\s*(?i:mean|p[0-9]{1,3}([.][0-9]{1,6})?)\s*(<=|≤|<)\s*"
    rf"({_NUMBER}\s*(us|µs|ms|s|m|min|h|d|w|y)?|{_TOGETHER})\s*$"
)
"""Everything that `planner.objective.parse_objective` understands, and little else: the limit may be missing."""
HAS_LIMIT = r"[0-9]\s*[a-zµ]*\s*$"
NO_PERCENTILE = r":\s*[pP](0+([.]0+)?|[1-9][0-9]{2}([.][0-9]+)?)\s*[<≤]"
"""None at all, or all of them and more."""
_ONE_LIMIT = rf"[<≤]=?\s*{_NUMBER}\s*[a-zµ]*\s*$"
_SECONDS = {"": 1.0, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0,
            "w": 604_800.0, "y": 31_536_000.0}  # fmt: skip
_LIMIT_S = rf"double(one.find(r'{_NUMBER}')) * {_SECONDS}[one.find(r'[a-zµ]*\s*$').trim()]"
NO_TIME = r"[<≤]=?\s*0+[a-z]+(0+[a-z]+)+\s*$"
"""Such as 0h0s."""


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

NO_LABELS = ("__name__", "le", "replicast_meaning")
_CHOOSING = Rule(
    rule=f"self.all(name, !(name in {list(NO_LABELS)}))",
    message="__name__, le and replicast_meaning choose no series of a target: name labels such as namespace, "
    "model_name or pod",
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
            rule=f"self.matches(r'{OBJECTIVE_FORM}') && self.matches(r'{HAS_LIMIT}')",
            message="an objective is metric:statistic<=limit, such as ttft:p99<=500ms, itl:p95<=60ms or e2e:mean<=5s; "
            "metrics are ttft, itl, tpot, e2e and queue",
        ),
        Rule(
            rule=f"!self.matches(r'{NO_PERCENTILE}')",
            message="a percentile of an objective lies between 0 and 100, such as p50, p99 or p99.9",
        ),
        Rule(
            rule=f"!self.matches(r'{NO_TIME}') && (!self.matches(r'{OBJECTIVE_FORM}') || "
            f"[self.find(r'{_ONE_LIMIT}')].all(one, one == '' || "
            f"[{_LIMIT_S}].all(seconds, seconds >= 1e-6 && seconds <= 1e6)))",
            message="the limit of an objective lies between 1us and 1e6s",
        ),
    ),
    Place(type="MetricsSource", field="matchLabels"): (_LABEL_NAMES, _CHOOSING),
    Place(type="ArrivalsCounter", field="matchLabels"): (_LABEL_NAMES, _CHOOSING),
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
