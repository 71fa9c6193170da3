"""Where an answer is less certain than it looks, in words."""

from __future__ import annotations

from collections.abc import Sequence

from models.objective import Objective
from models.prediction import Prediction, Routing
from models.workload import ClosedArrivals, Workload
from planner.checks.finding import Severity
from planner.hardware import find_model
from planner.objective import as_written
from planner.profile import CATALOGUE, EngineProfile
from planner.sizing import binding
from planner.units import format_seconds

UNFAMILIAR = 0.5
"""Familiarity below which a prediction is told to rest on the analytic laws."""
FAR_TAIL = 0.995
"""Beyond this share a law rests on its few last points."""
NEAR_A_JUMP = 0.005
JUMP = 1.5
"""A percentile jumps where half a percentage point of requests moves it by more than this factor."""
BUSY = 0.9


def caveats(
    profile: EngineProfile,
    workload: Workload,
    objectives: Sequence[Objective],
    prediction: Prediction,
    routing: Routing = Routing.RANDOM,
) -> tuple[str, ...]:
    """Of a predicted answer: what of the profile is doubtful, what was not measured, where the model is weak."""
    warnings = [*profile_caveats(profile, workload, prediction)]
    if prediction.preemptions_per_request > 0.01:
        warnings.append(
            f"KV memory runs short: about {prediction.preemptions_per_request:.2f} preemptions a request; the tail of "
            "TTFT is uncertain there"
        )
    warnings += _weak_laws(workload, objectives, prediction, routing)
    warnings += _whole_prompts(profile, workload, objectives, prediction)
    warnings += _uncertain_percentiles(objectives, prediction)
    return tuple(warnings)


def profile_caveats(profile: EngineProfile, workload: Workload, prediction: Prediction) -> tuple[str, ...]:
    """Of any answer, simulated or predicted: doubtful figures, and questions far from what was measured."""
    warnings = [*_estimated(profile), *_doubtful_figures(profile), *_beyond_context(profile, workload)]
    if profile.spec.measurements:
        warnings += _beyond_measured(profile, workload, prediction)
    return tuple(warnings)


def _estimated(profile: EngineProfile) -> list[str]:
    """A profile that data sheets or another layout stand behind."""
    if not any(note.startswith("an ESTIMATE") for entry in profile.spec.provenance for note in entry.notes):
        return []
    return ["the step time is estimated, not measured on this layout: measure it before buying GPUs on it"]


def _doubtful_figures(profile: EngineProfile) -> list[str]:
    warnings = []
    for severity, words in (
        (Severity.CONTRADICTION, "figures of the profile contradict each other or the hardware"),
        (Severity.WARNING, "figures of the profile are doubtful"),
    ):
        codes = dict.fromkeys(finding.code for finding in profile.doubts if finding.severity is severity)
        if codes:
            warnings.append(f"{words} ({', '.join(codes)}): see {_how_to_check(profile)}")
    return warnings


def _how_to_check(profile: EngineProfile) -> str:
    """The command, for a profile that ships; one that the user wrote is known to the command by its file."""
    shipped = (CATALOGUE / f"{profile.name}.yaml").is_file()
    return f"`planner profile check {profile.name}`" if shipped else f"`planner profile check` of {profile.name}'s file"


def _beyond_context(profile: EngineProfile, workload: Workload) -> list[str]:
    """Requests longer than the model's published context; nothing where the model is not in the table."""
    shape = find_model(profile.spec.model)
    length = workload.lengths.prompt.mean + workload.lengths.output.mean
    if shape is None or length <= shape.max_positions:
        return []
    return [
        (
            f"a request of {length:,.0f} tokens is longer than the context of {profile.spec.model}, "
            f"{shape.max_positions:,} tokens: engines refuse it"
        )
    ]


def _beyond_measured(profile: EngineProfile, workload: Workload, prediction: Prediction) -> list[str]:
    points = profile.spec.measurements
    warnings = []
    for name, asked, seen in (
        ("prompts", workload.lengths.prompt.mean, [point.input_tokens for point in points]),
        ("answers", workload.lengths.output.mean, [point.output_tokens for point in points]),
    ):
        low, high = min(seen), max(seen)
        if asked < low / 2.0 or asked > high * 2.0:
            measured = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
            warnings.append(
                f"{name} of {asked:,.0f} tokens are far outside what the profile was measured with ({measured}): "
                "expect larger errors, and measure there before buying"
            )
    loads = [point.concurrency for point in points if point.concurrency is not None]
    if loads and prediction.stable and prediction.running > 2.0 * max(loads):
        warnings.append(
            f"{prediction.running:.0f} sequences run at a time in a replica; the profile was measured up to "
            f"{max(loads):.0f}"
        )
    error = [entry.median_error for entry in profile.spec.provenance if entry.median_error is not None]
    if profile.spec.step_time is None and profile.fitted.median_error is not None:
        error = [profile.fitted.median_error]
    if error and max(error) > 0.05:
        warnings.append(f"the profile's step time misses its own measurements by {max(error):.0%} in the median")
    if len(points) == 1:
        warnings.append("the profile rests on one measured point; measure at least four loads before buying GPUs on it")
    return warnings


_EQUAL, _HERDING = 1e-6, 0.6


def _weak_laws(
    workload: Workload, objectives: Sequence[Objective], prediction: Prediction, routing: Routing
) -> list[str]:
    """Where the laws themselves are known to be weak."""
    warnings = []
    waits = [as_written(each) for each in objectives if each.metric in ("ttft", "queue")]
    if isinstance(workload.arrivals, ClosedArrivals) and (waits or not objectives):
        warnings.append(
            f"users in a closed loop start together and stay together: {', '.join(waits) or 'ttft'} rests on a tail "
            "that is uncertain by tens of per cent; compare with `planner simulate`"
        )
    equal = workload.lengths.prompt.scv < _EQUAL and workload.lengths.output.scv < _EQUAL
    if routing is Routing.LEAST_OUTSTANDING and equal and prediction.utilization > _HERDING and waits:
        warnings.append(
            f"requests of one length move in herds behind a least-outstanding balancer: {', '.join(waits)} may be "
            "twice what is predicted at this load; check it with `planner simulate`, or give --input-cv and --output-cv"
        )
    familiarity = prediction.capacity.familiarity
    if prediction.familiarity is not None:
        familiarity = min(familiarity, prediction.familiarity)
    if familiarity < UNFAMILIAR:
        warnings.append(
            "the question lies outside what the model's corrections were learned from (docs/mathematics.md, "
            "Discrepancy): errors are larger; compare with `planner simulate`"
        )
    return warnings


def _whole_prompts(
    profile: EngineProfile, workload: Workload, objectives: Sequence[Objective], prediction: Prediction
) -> list[str]:
    """Prompts that are not split and hold up those behind them: the tail of TTFT is poorly known there."""
    limits = profile.spec.limits
    if limits.chunked_prefill or not any(each.metric in ("ttft", "queue", "e2e") for each in objectives):
        return []
    prompt = workload.lengths.computed_prompt(workload.prefix_hit_rate)
    room = limits.max_num_batched_tokens - limits.max_num_seqs
    blocking = float(prompt.weights[prompt.values > room].sum()) if prompt.values.size > 1 else 0.0
    if blocking <= _RARE and prediction.utilization < BUSY:
        return []
    why = (
        f"up to {blocking:.1%} of them may wait for decodes to end before they fit a step of "
        f"{limits.max_num_batched_tokens:,} tokens"
        if blocking > _RARE
        else f"a replica is {prediction.utilization:.0%} full"
    )
    return [
        (
            f"prompts are not split (chunked prefill off) and {why}: the tail of TTFT may be several times what is "
            "predicted; check it with `planner simulate`"
        )
    ]


_RARE = 1e-4


def _uncertain_percentiles(objectives: Sequence[Objective], prediction: Prediction) -> list[str]:
    """Percentiles so far out that few points of a law tell them, and those on a jump of their law."""
    warnings = []
    nearest = binding(prediction, objectives) if objectives else None
    for objective in objectives:
        law, share = prediction.laws.get(objective.metric), objective.quantile
        if law is None or share is None:
            continue
        if share > FAR_TAIL:
            warnings.append(
                f"{objective.metric} {objective.statistic} is extrapolated from the few last points of its law: plan "
                "on p99 or p99.5, or check it with `planner simulate`"
            )
        low, high = law.quantiles([max(share - NEAR_A_JUMP, 0.0), min(share + NEAR_A_JUMP, 1.0)]).tolist()
        # A jump elsewhere, far within its limit, changes nothing.
        matters = objective is nearest or low <= objective.limit_s <= high
        if matters and share <= FAR_TAIL and high > JUMP * low:
            warnings.append(
                f"{objective.metric} {objective.statistic} jumps here, between {format_seconds(low)} and "
                f"{format_seconds(high)} within half a percentage point: a little more load or longer prompts move it "
                "that far"
            )
    return warnings
