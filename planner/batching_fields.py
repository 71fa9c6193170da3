"""An answer about a dynamic batcher as data in SI units, with what it assumes and where it is weak."""

from __future__ import annotations

from typing import Any

from models.objective import Objective
from planner.batching_answer import BATCHING_METRICS, BURSTIEST, BatchingAnswer, BatchingQuestion, nearest
from planner.batching_sizing import BatchingPlan
from planner.caveats import FAR_TAIL, doubtful_figures
from planner.node_count import node_count, node_fields, paid_gpus
from planner.plan import STATISTICS
from planner.serving import serving_fields
from planner.units import format_seconds

MOST_INSTANCES, LARGEST_BATCH, MOST_UNEVEN = 64, 64, 1.5
"""Beyond these predictions were not checked."""


def answer_fields(question: BatchingQuestion, answer: BatchingAnswer) -> dict[str, Any]:
    """The fields of `predict` and `simulate`, in SI units."""
    gpus = answer.replicas * question.profile.spec.gpu.per_replica
    price, paid = question.gpu_price_per_h, paid_gpus(question.profile.spec.gpu, answer.replicas)
    capacity, slots = question.capacity_per_s, question.slots
    return {
        "profile": question.profile.name,
        "replicas": answer.replicas,
        "gpus": gpus,
        **node_fields(node_count(question.profile.spec.gpu, answer.replicas)),
        "utilization": answer.load,
        "stable": answer.stable,
        "cost": {"per_hour": None if price is None else price * paid, "gpu_per_hour": price},
        "objectives": [_objective_row(answer, each) for each in question.objectives],
        "predicted": predicted_fields(question, answer),
        "capacity": {
            "requests_per_s": capacity * answer.replicas,
            "requests_per_s_per_replica": capacity,
            "bottleneck": "max_batch_size" if slots is None else "slots",
        },
        "assumptions": [*question.assumptions, *assumptions(question)],
        "warnings": list(warnings(question, answer)),
        "serving": serving_fields(question.profile),
    }


def plan_fields(question: BatchingQuestion, plan: BatchingPlan) -> dict[str, Any]:
    """The fields of `size`."""
    fewer = plan.one_fewer
    broken = tuple(each for each in question.objectives if fewer is not None and not fewer.meets(each))
    binds = nearest(plan.answer, broken or question.objectives)
    fields = answer_fields(question, plan.answer)
    fields["feasible"] = True
    fields["binding"] = {
        "constraint": "throughput" if fewer is not None and not fewer.stable else "objective",
        "objective": str(binds),
        "predicted": plan.answer.value(binds),
    }
    fields["warnings"] += _too_many(question, plan)
    fields["one_fewer"] = None
    if fewer is not None:
        fields["one_fewer"] = {
            "replicas": fewer.replicas,
            "stable": fewer.stable,
            "utilization": fewer.load,
            "violates": [str(each) for each in broken],
            "predicted": predicted_fields(question, fewer),
        }
    return fields


def _too_many(question: BatchingQuestion, plan: BatchingPlan) -> list[str]:
    """Where an autoscaler that adds replicas would break what the plan holds."""
    more = plan.half_more
    broken = [] if more is None else [str(each) for each in question.objectives if not more.meets(each)]
    if more is None or not broken:
        return []
    would_break = f"{more.replicas:,} would break {', '.join(broken)}"
    return [f"more replicas fill batches more slowly, as the queue delay lets them wait: {would_break}"]


def predicted_fields(question: BatchingQuestion, answer: BatchingAnswer) -> dict[str, Any]:
    """The higher of both rules for each statistic, and each rule's own where they differ; null when unstable."""
    fields: dict[str, Any] = {}
    for metric in BATCHING_METRICS:
        asked = [(each.statistic, each.quantile) for each in question.objectives if each.metric == metric]
        fields[metric] = {name: answer.statistic(metric, q) for name, q in dict([*STATISTICS, *asked]).items()}
    carried = question.arrivals.rate_per_s * (1.0 if answer.stable else min(1.0, 1.0 / answer.load))
    slots = question.slots
    if slots is None:
        fields["batch"] = {"mean": min(answer.mean_batch.values())}
    else:
        fields["slots"] = {"held": min(answer.mean_batch.values()), "count": slots.count}
    fields["throughput"] = {"requests_per_s": carried}
    fields["busy"] = answer.utilization
    if slots is None and question.batcher.max_queue_delay_s > 0.0 and answer.stable:
        fields["by_rule"] = {
            rule.value: {
                **{m: {name: laws[m].statistic(q) for name, q in STATISTICS} for m in BATCHING_METRICS},
                "batch": {"mean": answer.mean_batch[rule]},
            }
            for rule, laws in answer.laws.items()
        }
    return fields


def _objective_row(answer: BatchingAnswer, objective: Objective) -> dict[str, Any]:
    value = answer.value(objective)
    return {
        "objective": str(objective),
        "limit": objective.limit_s,
        "predicted": value,
        "met": answer.meets(objective),
        "margin": None if value is None else 1.0 - value / objective.limit_s,
    }


def assumptions(question: BatchingQuestion) -> tuple[str, ...]:
    """What every answer on this profile assumes."""
    told = _of_slots(question) if question.slots is not None else _of_batches(question)
    return (*told, *(f"profile: {note}" for entry in question.profile.spec.provenance for note in entry.notes))


def _of_slots(question: BatchingQuestion) -> tuple[str, ...]:
    limits, slots = question.profile.spec.limits, question.slots
    assert slots is not None
    what = "stream" if limits.decoupled else "sequence"
    notes = [
        (
            f"a request here is a whole {what}, from its first message to its last; a replica holds {slots.count:,} at "
            "a time, and who finds them all held waits for one to end"
        ),
        "predictions of slots are an approximation: how far off is in docs/batching-accuracy.md",
    ]
    if len(slots.held.batches) == 1:
        notes.append(f"a {what} lasts as long however many are held: spec.holdTime is known for one number alone")
    return tuple(notes)


def _of_batches(question: BatchingQuestion) -> tuple[str, ...]:
    batcher = question.batcher
    preferred = (
        f", preferred {', '.join(map(str, batcher.preferred_batch_sizes))}" if batcher.preferred_batch_sizes else ""
    )
    one_queue = "" if batcher.instances == 1 else f" of {batcher.instances} instances on one queue"
    delay = format_seconds(batcher.max_queue_delay_s) if batcher.max_queue_delay_s > 0.0 else "none"
    notes = [
        f"a replica{one_queue} makes batches of at most {batcher.max_batch_size:,}{preferred}; queue delay: {delay}",
        "a request is one item of a batch, whatever the batch size that its client chose",
    ]
    if batcher.instances > 1:
        notes.append(
            "instances do not slow each other: spec.serviceTime must have been measured with all of them busy, as on "
            "one GPU they share it"
        )
    if batcher.holds_back:
        notes.append(
            "Triton may close batches in two ways, and the slower one is shown; in runs of a real Triton at 50 and 70 "
            "% load p50 lay between the two, p95 and p99 not always, at 96 % hardly anything: docs/batching-accuracy.md"
        )
    return tuple(notes)


def warnings(question: BatchingQuestion, answer: BatchingAnswer) -> tuple[str, ...]:
    """Where the delay is no use, and where the prediction is less certain than it looks."""
    notes = doubtful_figures(question.profile)
    if question.slots is None:
        notes += _doubts_of_batches(question, answer)
    notes += [
        f"{each.metric} {each.statistic} rests on few requests or few points of its law: plan on p99 or p99.5, or "
        "check it with `planner simulate` and many --requests"
        for each in question.objectives
        if each.quantile is not None and each.quantile > FAR_TAIL
    ]
    if not answer.stable and answer.load < 1.0:
        notes.append(
            f"at {answer.load:.2%} of capacity a queue that settles is not told apart from one that grows for ever"
        )
    if answer.stable and answer.load > 0.9:
        notes.append("above 90 % of capacity latencies take minutes to settle and follow every change of the load")
    return tuple(notes)


def _doubts_of_batches(question: BatchingQuestion, answer: BatchingAnswer) -> list[str]:
    batcher, notes = question.batcher, []
    if answer.delay_only_costs:
        notes.append(
            f"the queue delay of {format_seconds(batcher.max_queue_delay_s)} only costs here: without it mean, p50, "
            "p95 and p99 of the latency are no higher; set max_queue_delay_microseconds to 0"
        )
    if batcher.instances > MOST_INSTANCES or batcher.max_batch_size > LARGEST_BATCH:
        notes.append(
            f"predictions were checked for at most {MOST_INSTANCES} instances and batches of {LARGEST_BATCH}: ask "
            "`planner simulate` too"
        )
    if float(batcher.cvs[1:].max()) > MOST_UNEVEN:
        notes.append(
            f"predictions were checked for batches whose times vary by at most {MOST_UNEVEN:g} (cv): ask `planner "
            "simulate` too"
        )
    if question.share(answer.replicas).burstiness > BURSTIEST:
        notes.append(f"predictions were checked for a burstiness of at most {BURSTIEST:g}: ask `planner simulate` too")
    return notes
