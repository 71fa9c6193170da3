"""A profile of a dynamic batcher learned from an engine in service: time of a batch by its size.

Windows need no steady load, as a batch lasts no longer for what waits behind it; those of like batches are pooled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from models.batch_service import ExecutedBatches, ServiceFit, fit_service_time
from models.errors import InvalidInput
from planner.metrics_history import Window
from planner.observed_profile import Identity
from planner.steady_load import why_unusable

SAME_BATCH = 1.1
"""Windows are pooled where their mean batches differ by less than this factor."""
NOTABLE_ERROR = 0.1
"""Of a point beside the line, worth a note."""
_COMPUTE = ("compute_input_sum", "compute_infer_sum", "compute_output_sum")


@dataclass(frozen=True, kw_only=True)
class BatchingLimits:
    """What of the batcher's configuration no metric tells."""

    max_batch_size: int
    instances: int = 1
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BatchLoad:
    """Windows of like batches, pooled."""

    requests: float
    executed: ExecutedBatches


@dataclass(frozen=True, kw_only=True)
class LearnedBatching:
    """A profile's document, what it was learned from in ascending order of batches, and what to tell the user."""

    document: dict[str, Any]
    loads: tuple[BatchLoad, ...]
    fit: ServiceFit
    left_out: Mapping[str, int]
    """Windows by the reason why they say nothing."""
    warnings: tuple[str, ...]


def learn_batching(
    windows: Sequence[Window], *, identity: Identity, limits: BatchingLimits, provenance: Mapping[str, Any]
) -> LearnedBatching:
    """Fit the service time to the windows. Raises InvalidInput where their batches do not vary, with what to try."""
    reasons = [(window, why_unusable(window) or _no_batches(window)) for window in windows]
    left_out = dict(Counter(why for _, why in reasons if why).most_common())
    loads = tuple(_pooled(window for window, why in reasons if not why))
    largest = max((load.executed.mean_batch for load in loads), default=1.0)
    if largest > limits.max_batch_size:
        raise InvalidInput(
            f"batches of {largest:.3g} requests in the mean, with --max-batch-size {limits.max_batch_size}",
            remedy="give max_batch_size as the model's config.pbtxt has it",
        )
    fit = fit_service_time([load.executed for load in loads], limits.max_batch_size)
    warnings = tuple(_warnings(loads, fit, limits))
    notes = [f"windows left out: {count}, {why}" for why, count in left_out.items()]
    source = {
        **provenance,
        "points": len(loads),
        "medianError": round(median(map(abs, fit.errors)), 4),
        "notes": [*notes, *warnings],
    }
    return LearnedBatching(
        document=_document(identity, limits, fit, source),
        loads=loads,
        fit=fit,
        left_out=left_out,
        warnings=warnings,
    )


def _no_batches(window: Window) -> str | None:
    needed = ("inferences", "executions", *_COMPUTE)
    told = all(window.counted.get(meaning) is not None for meaning in needed) and window.counted["executions"] > 0.0
    return None if told else "no count of batches and their time"


def _pooled(windows: Iterable[Window]) -> Iterator[BatchLoad]:
    group: list[Window] = []
    for window in sorted(windows, key=_mean_batch):
        if group and _mean_batch(window) > SAME_BATCH * _mean_batch(group[0]):
            yield _load(group)
            group = []
        group.append(window)
    if group:
        yield _load(group)


def _mean_batch(window: Window) -> float:
    return window.counted["inferences"] / window.counted["executions"]


def _load(group: Sequence[Window]) -> BatchLoad:
    def total(*meanings: str) -> float:
        return math.fsum(window.counted[meaning] for window in group for meaning in meanings)

    requests = total("succeeded")
    # Each request has added the time of its whole batch: over requests, not over executions.
    executed = ExecutedBatches(
        mean_batch=max(1.0, total("inferences") / total("executions")), service_s=total(*_COMPUTE) / requests
    )
    return BatchLoad(requests=requests, executed=executed)


def _warnings(loads: Sequence[BatchLoad], fit: ServiceFit, limits: BatchingLimits) -> Iterator[str]:
    yield (
        "the metrics are sums over requests: a straight line in the size of the batch is assumed, and how much single "
        "batches of one size differ (cv) is not known"
    )
    largest = loads[-1].executed.mean_batch
    if largest < 0.75 * limits.max_batch_size:
        yield (
            f"batches were of {largest:.3g} requests at most in the mean, of {limits.max_batch_size} that may be: "
            "times beyond are drawn out from the line; let it serve more than it carries for some minutes"
        )
    worst = max(fit.errors, key=abs)
    if abs(worst) > NOTABLE_ERROR:
        load = loads[fit.errors.index(worst)]
        yield (
            f"at a mean batch of {load.executed.mean_batch:.3g} the line is {100.0 * worst:+.0f} % off: batches there "
            "were more alike or more unlike than chance makes them, or the time is not linear in the batch"
        )


def _document(
    identity: Identity, limits: BatchingLimits, fit: ServiceFit, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": identity.name},
        "spec": {
            "engine": identity.engine,
            **({"engineVersion": identity.engine_version} if identity.engine_version else {}),
            "model": identity.model,
            "quantization": identity.quantization,
            "gpu": identity.gpu,
            "limits": {
                "maxBatchSize": limits.max_batch_size,
                "instances": limits.instances,
                "preferredBatchSizes": list(limits.preferred_batch_sizes),
                "maxQueueDelay": limits.max_queue_delay_s,
            },
            "serviceTime": [
                {"batch": batch, "mean": float(f"{fit.seconds(batch):.5g}")} for batch in _sizes(limits.max_batch_size)
            ],
            "provenance": [dict(provenance)],
        },
    }


def _sizes(largest: int) -> list[int]:
    """1, 2, 4 … and the largest."""
    return [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]
