"""A small world in virtual time: a load, a target whose pods take a while to start, and the controller's decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from controller.capacity_model import CapacityModel, Load
from controller.capacity_policy import CapacityPolicy, parse_policy
from controller.decide import decide
from controller.decision import Decision, Lever, Write
from controller.memory import Memory
from controller.reasons import Code
from controller.snapshot import EngineReadings, Evidence, Observation, Pods, Scaler, Snapshot, Target, Writer
from controller.writes import written
from planner.profile import load_profile

PROFILE = "llama-3.1-8b-a100-vllm"
TICK_S = 15.0
PROMPT, OUTPUT = 512.0, 128.0
START = 1_800_000_000.0
"""A Friday, 08:00 UTC."""


def policy(**spec: Any) -> CapacityPolicy:
    """A policy in Enforce mode with full defaults; `spec` overrides its fields."""
    return parse_policy(
        {
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "CapacityPolicy",
            "metadata": {"name": "chat", "namespace": "serving"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
                "profileRef": {"name": PROFILE},
                "metrics": {"matchLabels": {"namespace": "serving", "model_name": "llama"}},
                "objectives": ["ttft:p99<=500ms", "itl:p95<=60ms"],
                "bounds": {"min": 1, "max": 40},
                "mode": "Enforce",
                **spec,
            },
        }
    )


CAPACITY = CapacityModel(load_profile(PROFILE), remembered=4096)


@dataclass
class World:
    """Turns a load into snapshots, and decisions into replicas that are Ready a cold start later."""

    policy: CapacityPolicy = field(default_factory=policy)
    load: Callable[[float], float] = lambda _seconds: 40.0
    """Requests a second, by seconds since the beginning."""
    cold_start_s: float = 90.0
    replicas: int = 2
    scaler: Scaler | None = None
    capacity: CapacityModel | None = CAPACITY
    now_s: float = START
    memory: Memory = field(default_factory=lambda: Memory(target_uid="one", since_s=START))
    see: Callable[[float, Snapshot], Snapshot] = lambda _seconds, snapshot: snapshot
    """What is otherwise with the snapshot at a time."""
    writes: list[tuple[float, Write]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    seen: list[tuple[Snapshot, Memory, Decision]] = field(default_factory=list)
    """Each decision with what it was made from."""
    ready_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ready_at = [START] * self.replicas

    @property
    def since_s(self) -> float:
        return self.now_s - START

    @property
    def ready(self) -> int:
        return sum(1 for at in self.ready_at if at <= self.now_s)

    def snapshot(self) -> Snapshot:
        rate = self.load(self.since_s)
        seen = Snapshot(
            now_s=self.now_s,
            policy=self.policy.key,
            generation=1,
            spec=self.policy.spec,
            profile=PROFILE,
            observation=Observation(evidence=Evidence.FRESH, readings=readings(self.now_s, rate, self.ready)),
            target=Target(
                uid="one",
                replicas=self.replicas,
                pods=Pods(ready=self.ready, starting=self.replicas - self.ready),
                writer=Writer(manager="replicast", ours=True),
            ),
            scaler=self.scaler,
        )
        return self.see(self.since_s, seen)

    def tick(self) -> Decision:
        snapshot, before = self.snapshot(), self.memory
        outcome = decide(snapshot, before, self.capacity)
        self.memory = outcome.memory
        self.seen.append((snapshot, before, outcome.decision))
        self.decisions.append(outcome.decision)
        write = outcome.decision.write
        if write is not None:
            self.writes.append((self.since_s, write))
            self.memory = written(snapshot, self.memory, write)
            self.apply(write)
        self.now_s += TICK_S
        return outcome.decision

    def apply(self, write: Write) -> None:
        if self.scaler is None or write.lever is Lever.SCALE:
            self.resize(write.replicas)
            return
        self.scaler = replace(self.scaler, min_replicas=write.replicas, max_replicas=write.maximum or write.replicas)
        self.follow()

    def follow(self) -> None:
        """The scaler moves the target: within its bounds to what its own metrics ask. An HPA leaves zero alone."""
        if self.scaler is not None and (self.replicas > 0 or self.scaler.kind == "ScaledObject"):
            wish = max(self.scaler.min_replicas, self.scaler.desired or 0)
            self.resize(min(wish, self.scaler.max_replicas))

    def resize(self, replicas: int) -> None:
        self.replicas = replicas
        self.ready_at = sorted(self.ready_at)[:replicas]
        self.ready_at += [self.now_s + self.cold_start_s] * (replicas - len(self.ready_at))

    def run(self, seconds: float) -> list[Decision]:
        return [self.tick() for _ in range(round(seconds / TICK_S))]

    def meets(self, rate_per_s: float, replicas: int) -> bool:
        """Whether so many replicas hold every objective, by the model."""
        load = Load(rate_per_s=rate_per_s, prompt_tokens=PROMPT, output_tokens=OUTPUT)
        return all(each.met for each in CAPACITY.values(load, replicas, self.policy.spec.parsed_objectives))


def readings(now_s: float, rate_per_s: float, pods: int, **fields: Any) -> EngineReadings:
    """Of healthy engines under a rate."""
    seen = EngineReadings(
        window_s=60.0,
        newest_s=now_s - 2.0,
        oldest_s=now_s - 5.0,
        pods=pods,
        succeeded_per_s=rate_per_s,
        running=rate_per_s,
        waiting=0.0,
        prompt_tokens=PROMPT,
        output_tokens=OUTPUT,
        kv_usage=0.2,
    )
    return replace(seen, **fields)


def without_metrics(evidence: Evidence, message: str = "why") -> Callable[[Snapshot], Snapshot]:
    """The same with nothing to be believed of the load."""
    return lambda snapshot: replace(snapshot, observation=Observation(evidence=evidence, message=message))


def codes(decision: Decision) -> set[Code]:
    return {reason.code for reason in decision.reasons}


def condition(decision: Decision, kind: str) -> tuple[str, str, str]:
    """Status, reason and message."""
    (found,) = [each for each in decision.conditions if each.type == kind]
    return found.status, found.reason, found.message
