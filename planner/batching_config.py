"""What of a model's `config.pbtxt` decides on its batches, and what of it the plan leaves out.

By Triton's own rules (triton-inference-server/core, model_config_utils.cc; docs/user_guide/model_configuration.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import InvalidInput

_MICRO = 1e-6
MOST_DELAY_S, LARGEST_BATCH, LONGEST_NAME = 3600.0, 100_000, 200
_OF_TOKENS = {"vllm": "vllm", "tensorrtllm": "triton-trtllm"}
"""Backends that batch continuously, by the engine of their profiles."""
_TWO_ON_CPU = ("onnxruntime", "tensorflow")
"""Backends of which an instance group on the CPU that gives no count has two."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model's configuration."""

    name: str
    max_batch_size: int
    instances: int
    gpus: int
    """Of one server; 0 where all instances run on the CPU."""
    preferred_batch_sizes: tuple[int, ...]
    max_queue_delay_s: float
    sequence_batching: str | None = None
    """`direct` or `oldest`, where sequences hold slots."""
    candidates: int = 1
    decoupled: bool = False
    notes: tuple[str, ...] = ()
    """What was assumed, and what changes the queue and is not modelled."""

    @property
    def holds_slots(self) -> bool:
        """Whether sequences or streams hold slots, instead of requests in batches."""
        return self.decoupled or self.sequence_batching is not None

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of its profile."""
        batching: dict[str, Any] = {
            "maxBatchSize": self.max_batch_size,
            "instances": self.instances,
            "preferredBatchSizes": list(self.preferred_batch_sizes),
            "maxQueueDelay": self.max_queue_delay_s,
        }
        if self.decoupled:
            return {**batching, "decoupled": True}
        if self.sequence_batching is None:
            return batching
        return {
            **batching, "sequenceBatching": self.sequence_batching, "maxCandidateSequences": self.candidates
        }  # fmt: skip


def served_model(config: Any, path: Path) -> ServedModel:
    """What a configuration (Triton's `ModelConfig`) says. Raises InvalidInput for what is not batched dynamically."""
    scheduler = config.WhichOneof("scheduling_choice")
    _refuse_what_is_no_batcher(config, scheduler, path)
    dynamic, sequences = config.dynamic_batching, config.sequence_batching
    batched = scheduler == "dynamic_batching" and config.max_batch_size > 0
    decoupled = config.model_transaction_policy.decoupled
    sequential = scheduler == "sequence_batching"
    oldest = sequences.WhichOneof("strategy_choice") == "oldest"
    if batched:
        _refuse_out_of_range(config, path)
    instances, gpus = _instances(config, path)
    return ServedModel(
        name=_name(config, path),
        # Without dynamic batching each request is executed as it comes.
        max_batch_size=max(1, config.max_batch_size) if batched or sequential or decoupled else 1,
        instances=instances,
        gpus=gpus,
        preferred_batch_sizes=tuple(sorted(set(dynamic.preferred_batch_size))) if batched else (),
        max_queue_delay_s=dynamic.max_queue_delay_microseconds * _MICRO if batched else 0.0,
        sequence_batching=("oldest" if oldest else "direct") if sequential else None,
        candidates=max(1, sequences.oldest.max_candidate_sequences) if oldest else 1,
        decoupled=decoupled,
        notes=tuple(_notes(config, scheduler)),
    )


def _name(config: Any, path: Path) -> str:
    name = config.name or path.resolve().parent.name
    if len(name) > LONGEST_NAME:
        raise InvalidInput(
            f"{path}: name has {len(name)} characters", remedy=f"profiles have names of at most {LONGEST_NAME}"
        )
    return str(name)


def _refuse_what_is_no_batcher(config: Any, scheduler: str | None, path: Path) -> None:
    if scheduler == "ensemble_scheduling":
        raise InvalidInput(
            f"{path}: an ensemble has no batches of its own", remedy="describe its steps for `planner pipeline`"
        )
    if config.backend in _OF_TOKENS:
        raise InvalidInput(
            f"{path}: backend {config.backend} batches token by token",
            remedy=f"size it with a profile of engine {_OF_TOKENS[config.backend]}",
        )
    if not 0 <= config.max_batch_size <= LARGEST_BATCH:
        raise InvalidInput(
            f"{path}: max_batch_size is {config.max_batch_size}", remedy=f"give 0 (no batching) to {LARGEST_BATCH:,}"
        )


def _refuse_out_of_range(config: Any, path: Path) -> None:
    dynamic, most = config.dynamic_batching, config.max_batch_size
    wrong = [size for size in dynamic.preferred_batch_size if not 1 <= size <= most]
    if wrong:
        raise InvalidInput(
            f"{path}: dynamic_batching.preferred_batch_size is {wrong[0]}, max_batch_size is {most}",
            remedy=f"preferred sizes lie between 1 and {most}; Triton refuses others too",
        )
    if dynamic.max_queue_delay_microseconds * _MICRO > MOST_DELAY_S:
        raise InvalidInput(
            f"{path}: dynamic_batching.max_queue_delay_microseconds is {dynamic.max_queue_delay_microseconds}, "
            "more than an hour",
            remedy="give microseconds: 5 ms are 5000",
        )


def _instances(config: Any, path: Path) -> tuple[int, int]:
    """Instances that serve, and the GPUs that they need: a group has its count on each GPU that it names."""
    groups = [group for group in config.instance_group if not group.passive]
    if config.instance_group and not groups:
        raise InvalidInput(f"{path}: every instance_group is passive", remedy="none would serve a request")
    named: set[int] = set()
    instances, on_gpu = 0, not groups
    for group in groups:
        kind = group.Kind.Name(group.kind)
        count = group.count or (2 if kind == "KIND_CPU" and config.backend in _TWO_ON_CPU else 1)
        instances += max(1, count) * (max(1, len(group.gpus)) if kind != "KIND_MODEL" else 1)
        named |= set(group.gpus)
        on_gpu = on_gpu or kind != "KIND_CPU"
    return max(1, instances), max(1, len(named)) if on_gpu else 0


def _notes(config: Any, scheduler: str | None) -> Iterator[str]:
    dynamic, groups = config.dynamic_batching, [group for group in config.instance_group if not group.passive]
    if config.max_batch_size > 1 and scheduler is None and not config.model_transaction_policy.decoupled:
        yield (
            f"max_batch_size is {config.max_batch_size}, and without dynamic_batching Triton joins no requests: "
            "batches of 1"
        )
    if config.max_batch_size == 0:
        yield "config.pbtxt gives no max_batch_size: batches of 1 (Triton may complete it when it loads the model)"
    if len(groups) < len(config.instance_group):
        yield "passive instance groups serve nothing and are not counted"
    if any(group.Kind.Name(group.kind) in ("KIND_GPU", "KIND_AUTO") and not group.gpus for group in groups):
        yield "an instance_group that names no GPUs has its instances on every GPU of its server: a replica has one"
    policy = dynamic.default_queue_policy
    ignored = {
        "priority_levels": dynamic.priority_levels > 1,
        "max_queue_size": policy.max_queue_size > 0,
        "default_timeout_microseconds": policy.default_timeout_microseconds > 0,
        "priority_queue_policy": len(dynamic.priority_queue_policy) > 0,
        "preserve_ordering": dynamic.preserve_ordering,
        "response_cache": config.response_cache.enable,
        "rate_limiter": any(group.rate_limiter.resources or group.rate_limiter.priority for group in groups),
    }
    told = [name for name, given in ignored.items() if given]
    if told:
        yield (
            f"not modelled: {', '.join(told)} of config.pbtxt; all requests are answered, first come first served, "
            "none from a cache"
        )
