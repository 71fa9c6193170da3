"""What shipped profiles say beside an advice: capacity by engine, predicted, with what is doubtful of it.

Engines are compared like with like: of one GPU type, precision and number of GPUs a replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from models.capacity import capacity
from models.continuous_batching import predict
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from planner.advice import Gain
from planner.advice_memory import room, small_room
from planner.advice_subject import Subject, in_words, profiles_of
from planner.caveats import doubtful_figures, profile_caveats
from planner.checks.finding import Severity
from planner.hardware import precision_of
from planner.profile import EngineProfile

_PROMPT, _OUTPUT = 1024, 512
"""Near the lengths that most shipped profiles were measured with."""
_LENGTHS = TokenLengths.of(_PROMPT, _OUTPUT)
_MOST_NAMES = 3
_NEAR_CAPACITY = 0.95
"""Of the capacity: the load whose running set is held against those that were measured."""


def numbers(subject: Subject, *, memory_gib: float | None = None) -> Iterator[str]:
    """Lines for people; none where nothing is known."""
    if memory_gib is not None:
        yield from small_room(subject, memory_gib)
        return
    yield from room(subject)
    all_of_it = _predicted(subject)
    if not all_of_it:
        on = "" if subject.gpu is None else f" on {subject.gpu}"
        yield f"no shipped profile of {subject.model}{on}{f' at {subject.precision}' if subject.asked else ''}"
    best = _best_by_engine(all_of_it)
    yield from map(_capacity, best)
    gains = _gains(all_of_it)
    yield from map(_like_for_like, gains)
    shown = [*best, *(each for _, *pair in gains for each in pair)]
    yield from _doubts(list(dict.fromkeys(shown)))


def _doubts(shown: Sequence[_Predicted]) -> Iterator[str]:
    """Each doubt once, with the profiles that it is about."""
    about: dict[str, list[str]] = {}
    for each in shown:
        for text in each.doubts:
            about.setdefault(text, []).append(each.profile.name)
    for text, names in about.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield f"doubtful of {', '.join(names[:_MOST_NAMES])}{more}: {text}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Predicted:
    """A profile and the capacity that is predicted from it."""

    profile: EngineProfile
    rate_per_gpu: float

    @property
    def like(self) -> tuple[str, str, int]:
        """What engines must share to be compared."""
        spec = self.profile.spec
        return spec.gpu.type, precision_of(spec.quantization), spec.gpu.per_replica

    @property
    def where(self) -> str:
        spec = self.profile.spec
        size = spec.gpu.per_replica
        return f"{spec.gpu.type} at {in_words(spec.quantization)}, {size} GPU{'' if size == 1 else 's'} a replica"

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What a plan of that capacity would warn of."""
        rate = _NEAR_CAPACITY * self.rate_per_gpu * self.profile.spec.gpu.per_replica
        workload = Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=_LENGTHS)
        prediction = predict(self.profile.to_engine(), workload, replicas=1)
        return profile_caveats(self.profile, workload, prediction)

    @cached_property
    def sound(self) -> bool:
        """Whether its figures can all be true, and it was measured near there."""
        if any(finding.severity is Severity.CONTRADICTION for finding in self.profile.doubts):
            return False
        return bool(self.profile.spec.measurements) and set(self.doubts) <= set(doubtful_figures(self.profile))

    @property
    def measured(self) -> str:
        """Where its points lie."""
        points = self.profile.spec.measurements
        if not points:
            return "no points kept"
        prompts, answers = ([getattr(point, name) for point in points] for name in ("input_tokens", "output_tokens"))
        loads = [point.concurrency for point in points if point.concurrency is not None]
        at = f", {_span(loads)} at a time" if loads else ""
        count = f"{len(points)} point{'' if len(points) == 1 else 's'}"
        return f"{count} measured at {_span(prompts)} + {_span(answers)} tokens{at}"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"


def _predicted(subject: Subject) -> list[_Predicted]:
    """Of every shipped profile of the model, on the GPU if one is named, at the precision if one was asked."""
    found = []
    for profile in profiles_of(subject.shape):
        spec = profile.spec
        other_gpu = subject.gpu is not None and subject.gpu.lower() != spec.gpu.type.lower()
        other_precision = subject.asked and precision_of(spec.quantization) != precision_of(subject.quantization)
        if other_gpu or other_precision:
            continue
        rate = capacity(profile.to_engine(), _LENGTHS, 0.0).requests_per_s
        found.append(_Predicted(profile=profile, rate_per_gpu=rate / spec.gpu.per_replica))
    return found


def _best_by_engine(found: Sequence[_Predicted]) -> list[_Predicted]:
    """The most for each GPU, of every GPU type, precision and engine, in the order of their names."""
    best: dict[tuple[str, str, str], _Predicted] = {}
    for each in found:
        key = (*each.like[:2], each.profile.spec.engine)
        if key not in best or each.rate_per_gpu > best[key].rate_per_gpu:
            best[key] = each
    return [best[key] for key in sorted(best)]


def _capacity(best: _Predicted) -> str:
    return (
        f"predicted: {best.rate_per_gpu:.3g} requests/s and GPU at capacity on {best.where}, with "
        f"{best.profile.spec.engine} ({_PROMPT:,} + {_OUTPUT} tokens; from profile {best.profile.name}, "
        f"{best.measured})"
    )


def compiled_gain(subject: Subject) -> Gain | None:
    """What TensorRT-LLM carries more than vLLM at best, like for like; of sound profiles before others."""
    found = _gains(_predicted(subject))
    if not found:
        return None
    share, vllm, compiled = max(found, key=lambda each: (each[1].sound and each[2].sound, each[0]))
    return Gain(share=share, where=vllm.where, sound=vllm.sound and compiled.sound)


def _gains(found: Sequence[_Predicted]) -> list[tuple[float, _Predicted, _Predicted]]:
    """Of each GPU type, precision and size of replica with both engines: the gain, the best vLLM and TensorRT-LLM."""
    best: dict[tuple[tuple[str, str, int], str], _Predicted] = {}
    for each in found:
        key = each.like, each.profile.spec.engine
        if key not in best or each.rate_per_gpu > best[key].rate_per_gpu:
            best[key] = each
    pairs = [
        (best.get((like, "vllm")), best.get((like, "triton-trtllm"))) for like in sorted({like for like, _ in best})
    ]
    return [
        (compiled.rate_per_gpu / vllm.rate_per_gpu - 1.0, vllm, compiled)
        for vllm, compiled in pairs
        if vllm and compiled
    ]


def _like_for_like(pair: tuple[float, _Predicted, _Predicted]) -> str:
    gain, vllm, compiled = pair
    return (
        f"like for like on {vllm.where}: TensorRT-LLM {compiled.rate_per_gpu:.3g}, vLLM {vllm.rate_per_gpu:.3g} "
        f"requests/s and GPU, {abs(gain):.0%} {'more' if gain >= 0.0 else 'less'}; `planner compare --profile "
        f"{vllm.profile.name} --profile {compiled.profile.name}` says from which load building engines pays"
    )
