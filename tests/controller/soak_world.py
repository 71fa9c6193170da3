"""A cluster in virtual time for two controllers of which one leads, in which everything goes wrong at random.

It is small and honest: objects are documents that the controller's own reductions read; patches are tested as the API
server tests them. Every write is judged when it comes, by rules that are written here a second time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from controller.capacity_policy import CapacityPolicy, parse_policy
from controller.cluster_objects import Pod, horizontal_pod_autoscaler, scaled_object, workload
from controller.cluster_view import ClusterView
from controller.controller import Asked, Controller, Ticked
from controller.decision import Decision
from controller.kubernetes_api import ApiError, Document, Kubernetes
from controller.limits import in_force
from controller.snapshot import EngineReadings, Evidence, Observation
from controller.snapshots import Key, Profile, profile_of
from controller.status_teller import without_nothing
from controller.telemetry import Telemetry
from planner.profile import load_profile
from tests.controller.world import PROFILE, START, TICK_S, readings

SPACE = "serving"
COLD_START_S = 90.0
NAMES = ("plain", "hpa", "keda", "capped", "quick")
_SCALERS = {"hpa": ("HorizontalPodAutoscaler", "minReplicas", "maxReplicas"),
            "keda": ("ScaledObject", "minReplicaCount", "maxReplicaCount")}  # fmt: skip
_PLURALS = {"deployments": "Deployment", "horizontalpodautoscalers": "HorizontalPodAutoscaler",
            "scaledobjects": "ScaledObject"}  # fmt: skip


def spec_of(name: str) -> dict[str, Any]:
    """Each policy has another lever, other bounds or another pace."""
    common = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "profileRef": {"name": PROFILE},
        "metrics": {"matchLabels": {"model_name": name}},
        "objectives": ["ttft:p99<=500ms", "itl:p95<=60ms"],
        "bounds": {"min": 1, "max": 20},
        "mode": "Enforce",
    }
    gateway = {"metric": "gateway_requests_total", "matchLabels": {"route": name}}
    own: dict[str, dict[str, Any]] = {
        "plain": {"bounds": {"min": 1, "max": 20, "schedules": [
            {"name": "morning", "start": "08:30", "end": "09:15", "min": 4, "max": 12}]}},
        "hpa": {"hpaRef": {"name": "hpa"}, "bounds": {"min": 2, "max": 15}},
        "keda": {"scaledObjectRef": {"name": "keda"}, "bounds": {"min": 0, "max": 10},
                 "metrics": {"matchLabels": {"model_name": name}, "arrivals": gateway},
                 "workload": {"inputTokens": 512, "outputTokens": 128}},
        "capped": {"bounds": {"min": 1, "max": 20, "maxGPUs": 6, "budgetPerHour": 9.0, "gpuPricePerHour": 2.0}},
        "quick": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 90, "policies": [
            {"type": "Percent", "value": 50, "periodSeconds": 60}]}}},
    }  # fmt: skip
    return {**common, **own[name]}


class Lease:
    """Whose turn it is to write."""

    holder = "one"


@dataclass
class Seat:
    """The part of a controller in the election."""

    lease: Lease
    name: str

    def leads(self) -> bool:
        """Whether it holds the lease."""
        return self.lease.holder == self.name

    def left_s(self) -> float:
        """As long as it takes, or not at all."""
        return math.inf if self.leads() else 0.0

    def stands_by(self) -> str:
        """Who leads instead."""
        return "" if self.leads() else f"{self.lease.holder} leads"


@dataclass
class Model:
    """A target as it truly is."""

    replicas: int = 2
    ready_at: list[float] = field(default_factory=list)
    rate_per_s: float = 40.0
    full: bool = False
    """No place for more pods."""
    failing: int = 0
    rolling: bool = False
    wish: int = 0
    """Of its scaler, by the scaler's own metrics."""


@dataclass(frozen=True)
class Written:
    """A change of replicas that was made."""

    at_s: float
    """True time."""
    name: str
    before: int
    after: int
    ran: int
    """Replicas that ran before it."""
    run: int
    """The most that run after it."""


class SoakWorld:
    """Objects, loads, faults, and the judge of writes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.true_s, self.offset_s = START, 0.0
        self.version, self.generation = 100, 1
        self.lease, self.killed = Lease(), False
        self.models = {name: Model(ready_at=[START] * 2) for name in NAMES}
        self.objects: dict[tuple[str, str], Document] = {}
        self.policies: dict[Key, CapacityPolicy] = {}
        self.profile: Profile | None = AS_MEASURED
        self.faults: dict[str, float] = {}
        """By name, until when (true time)."""
        self.writes: list[Written] = []
        self.accepted = 0
        self.told: list[tuple[str, str, Document]] = []
        """Who wrote the status of which policy."""
        self.events: dict[str, Document] = {}
        """By name."""
        self.event_writes = 0
        for name in NAMES:
            self.create(name)
            self.policies[SPACE, name] = self._policy(name, spec_of(name))
        self.controllers = {name: self._controller(name) for name in ("one", "two")}

    # Objects

    def create(self, name: str) -> None:
        """The target, anew, with its scaler."""
        self.models[name].replicas, self.models[name].ready_at = 2, [self.true_s + COLD_START_S] * 2
        self._put("Deployment", name, {
            "replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {}},
        })  # fmt: skip
        if name in _SCALERS:
            kind, least, most = _SCALERS[name]
            ref = {"kind": "Deployment", "name": name}
            self._put(kind, name, {"scaleTargetRef": ref, least: 2, most: 20})

    def _put(self, kind: str, name: str, spec: Document) -> None:
        self.version += 1
        metadata = {"name": name, "namespace": SPACE, "uid": f"{kind}-{name}-{self.version}"}
        self.objects[kind, name] = {"metadata": metadata, "spec": spec}
        self._stamp(kind, name, "kubectl-create")

    def _stamp(self, kind: str, name: str, manager: str) -> None:
        """Who wrote the replicas, as managedFields have it: one manager owns each field."""
        self.version += 1
        metadata = self.objects[kind, name]["metadata"]
        metadata["resourceVersion"] = str(self.version)
        written = ("replicas", "minReplicas", "maxReplicas", "minReplicaCount", "maxReplicaCount")
        fields = {f"f:{each}": {} for each in written}
        time = f"2027-01-15T08:00:00.{self.version:06d}+00:00"
        metadata["managedFields"] = [{"manager": manager, "time": time, "fieldsV1": {"f:spec": fields}}]

    def _policy(self, name: str, spec: Document) -> CapacityPolicy:
        metadata = {"name": name, "namespace": SPACE, "generation": self.generation, "uid": name}
        document = {
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "CapacityPolicy",
            "metadata": metadata,
            "spec": spec,
        }
        return parse_policy(document)

    def edit(self, name: str, **changes: Any) -> None:
        """The policy's spec becomes that of the beginning with changes."""
        self.generation += 1
        status = self.policies[SPACE, name].status
        edited = self._policy(name, {**spec_of(name), **changes})
        self.policies[SPACE, name] = edited.model_copy(update={"status": status})

    def rival(self, name: str, replicas: int, manager: str) -> None:
        """Somebody else writes what the policy's lever writes."""
        kind, field_name = (_SCALERS[name][0], _SCALERS[name][1]) if name in _SCALERS else ("Deployment", "replicas")
        if (kind, name) in self.objects:
            self.objects[kind, name]["spec"][field_name] = replicas
            self._stamp(kind, name, manager)

    def rival_maximum(self, name: str, maximum: int) -> None:
        """Somebody else writes the maximum of a scaler."""
        if name in _SCALERS and (_SCALERS[name][0], name) in self.objects:
            kind, least, most = _SCALERS[name]
            spec = self.objects[kind, name]["spec"]
            spec[most] = max(maximum, spec[least], 1)
            self._stamp(kind, name, "argocd-controller")

    def settle(self) -> None:
        """What Deployment controller, HPA and kubelets do meanwhile."""
        for name, model in self.models.items():
            found = self.objects.get(("Deployment", name))
            if found is None:
                model.ready_at = []
                continue
            if name in _SCALERS:
                kind, least, most = _SCALERS[name]
                scaler = self.objects[kind, name]["spec"]
                found["spec"]["replicas"] = min(max(scaler[least], model.wish, 0), scaler[most])
            model.replicas = found["spec"]["replicas"]
            model.ready_at = sorted(model.ready_at)[: model.replicas]
            starts = math.inf if model.full else self.true_s + COLD_START_S
            model.ready_at += [starts] * (model.replicas - len(model.ready_at))
            if not model.full:
                model.ready_at = [min(each, self.true_s + COLD_START_S) for each in model.ready_at]
            found["status"] = {
                "replicas": model.replicas, "readyReplicas": self.ready(name),
                "updatedReplicas": model.replicas - (1 if model.rolling and model.replicas else 0),
            }  # fmt: skip

    def ready(self, name: str) -> int:
        """Pods that serve."""
        model = self.models[name]
        return max(0, sum(at <= self.true_s for at in model.ready_at) - model.failing)

    # What a controller sees

    def view(self) -> ClusterView:
        """All of it, as watch caches hold it."""

        def of(kind: str, reduce: Any) -> dict[Key, Any]:
            return {(SPACE, name): reduce(each) for (known, name), each in self.objects.items() if known == kind}

        return ClusterView(
            workloads={"Deployment": of("Deployment", workload), "StatefulSet": {}, "LeaderWorkerSet": {}},
            pods={SPACE: [pod for name in NAMES for pod in self._pods(name)]},
            hpas=of("HorizontalPodAutoscaler", horizontal_pod_autoscaler),
            scaled_objects=of("ScaledObject", scaled_object),
            problems={"Pod": "LIST /api/v1/pods: 403 Forbidden"} if "forbidden" in self.faults else {},
        )

    def _pods(self, name: str) -> Iterator[Pod]:
        model, labels = self.models[name], frozenset({("app", name)})
        for index, at_s in enumerate(model.ready_at):
            failing = index < model.failing
            yield Pod(labels=labels, ready=at_s <= self.true_s and not failing, unschedulable=math.isinf(at_s),
                      failing=failing)  # fmt: skip

    def observe(self, asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
        """What Prometheus lets be believed."""
        return {key: self.observation(key[1]) for key in asked}

    def observation(self, name: str) -> Observation:
        """Of one policy, by the faults that are on."""
        for fault, evidence in _BLIND.items():
            if fault in self.faults:
                return Observation(evidence=evidence, message=fault)
        now_s, rate, pods = self.now_s, self.models[name].rate_per_s, self.ready(name)
        arrived = rate if name == "keda" else None
        seen = readings(now_s, rate, pods, arrived_per_s=arrived)
        if "partial" in self.faults:
            return Observation(evidence=Evidence.PARTIAL, message="partial", readings=_part(seen))
        return Observation(evidence=Evidence.FRESH, readings=self._odd(seen))

    def _odd(self, seen: EngineReadings) -> EngineReadings:
        """What is fresh and strange all the same."""
        rate = seen.succeeded_per_s or 0.0
        odd: dict[str, dict[str, Any]] = {
            "reset": {"resets": 1.0, "succeeded_per_s": 0.3 * rate},
            "queue": {"waiting": 50.0 * rate, "growth_per_s": 0.1 * rate},
            "draining": {"growth_per_s": -2.0 * rate},
            "endless prompts": {"prompt_tokens": 3e6},
            "no request ended": {"prompt_tokens": None, "output_tokens": None},
            "slow": {"itl_s": 0.2},
            "full memory": {"kv_usage": 0.97},
        }
        for fault, fields in odd.items():
            if fault in self.faults:
                seen = replace(seen, **fields)
        return seen

    @property
    def now_s(self) -> float:
        """By the controllers' clock."""
        return self.true_s + self.offset_s

    def _controller(self, name: str) -> Any:
        caches = SimpleNamespace(view=self.view, policies=SimpleNamespace(objects=dict), profiles=None)
        made = Controller(
            api=Api(self, name), caches=caches, observe=self.observe, leader=Seat(self.lease, name),  # type: ignore[arg-type]
            telemetry=Telemetry(), clock=lambda: self.now_s,
        )  # fmt: skip
        judged = Judged(controller=made, caches=caches)
        self._look(judged)
        return judged

    def _look(self, judged: Judged) -> None:
        """The watch caches catch up, where their streams are not broken."""
        seen, policies = self.view(), dict(self.policies)
        profile = {} if self.profile is None else {(SPACE, PROFILE): self.profile}
        judged.caches.view = lambda: seen
        judged.caches.policies = SimpleNamespace(objects=lambda: policies, get=policies.get)
        judged.caches.profiles = SimpleNamespace(objects=lambda: profile)
        judged.policies = policies

    # Time

    def jump(self, seconds: float) -> None:
        """The controllers' clock is put right."""
        self.offset_s += seconds

    def other_profile(self) -> None:
        """It is deleted, or measured again."""
        self.profile = self.chance.choice((None, AS_MEASURED, AGAIN))

    def mend(self, name: str) -> None:
        """What is wrong with one policy and for all is put right."""
        self.killed, self.profile, model = False, AS_MEASURED, self.models[name]
        model.full, model.failing, model.rolling = False, 0, False
        if ("Deployment", name) not in self.objects:
            self.create(name)
        self.edit(name)

    def all_well(self) -> None:
        """Nothing goes wrong any more."""
        self.faults = {}
        for name, model in self.models.items():
            model.rate_per_s = 40.0
            self.mend(name)

    def tick(self) -> None:
        """Both controllers look, one of them may write; then a quarter of a minute passes."""
        self.faults = {fault: until for fault, until in self.faults.items() if until > self.true_s}
        self.settle()
        for name, judged in self.controllers.items():
            if f"stale {name}" not in self.faults:
                self._look(judged)
            judged.controller.kill_switch = _Switch(self.killed)  # type: ignore[assignment]
            if "handover" in self.faults and self.chance.random() < 0.3:
                self.lease.holder = self.chance.choice(("one", "two"))
            ticked = judged.controller.tick()
            judged.remember(self.true_s, ticked)
        self.true_s += TICK_S

    # The judge

    def judge(
        self, who: str, name: str, before: int, after: int, maximum: int | None, maximum_before: int | None
    ) -> tuple[int, int]:
        """AssertionError for a write that should not be. Replicas that run before it, and that may after it."""
        judged = self.controllers[who]
        policy, spec = judged.policies[SPACE, name], judged.policies[SPACE, name].spec
        told = f"{who} writes {name} {before} to {after} (at most {maximum}) at {self.true_s - START:.0f} s"
        told += f" with {sorted(self.faults)}"
        assert self.lease.holder == who, f"two writers: {told}"
        assert spec.mode == "Enforce", f"only advice: {told}"
        assert not spec.paused, f"paused: {told}"
        assert not self.killed, f"killed: {told}"
        low, high = _limits(policy, self.now_s)
        assert after <= max(high, before), f"above {high}: {told}"
        assert after >= min(low, high, before), f"below {low}: {told}"
        ran, run = before, after
        if maximum is not None and maximum_before is not None:
            ran = min(self.models[name].replicas, maximum_before)
            run = min(max(ran, after), maximum)
            assert maximum <= max(high, after, ran, maximum_before), f"maximum above {high}: {told}"
        if after == 0:
            assert spec.bounds.min == 0, f"none left: {told}"
        if after < before:
            self._judge_less(judged, policy, name, before, after, told)
        stale = f"stale {who}" in self.faults  # that the scaler has grown meanwhile cannot be seen then
        if maximum is not None and run < ran and not stale:
            self._judge_evidence(policy, name, told)
            self._judge_pace(policy, ran, run, told, [(each.ran, each.run) for each in self._recent(name, policy)])
        return ran, run

    def _judge_less(
        self, judged: Judged, policy: CapacityPolicy, name: str, before: int, after: int, told: str
    ) -> None:
        self._judge_evidence(policy, name, told)
        rules = policy.spec.behavior.scale_down
        since_s = self.true_s - rules.stabilization_window_seconds
        _, high = _limits(policy, self.now_s)
        past = [each for at_s, each in judged.past.get(name, ()) if at_s > since_s]
        most = max((each.needed for each in past if each.needed is not None), default=0)
        assert after >= min(most, high), f"{most} were needed within the window: {told}"
        known = [at_s for at_s, each in judged.past.get(name, ()) if each.needed is not None and at_s >= since_s - 60.0]
        assert known, f"nothing was known for the whole window: {told}"
        changes = [(each.before, each.after) for each in self._recent(name, policy)]
        self._judge_pace(policy, before, after, told, changes)

    def _judge_evidence(self, policy: CapacityPolicy, name: str, told: str) -> None:
        observation, model = self.observation(name), self.models[name]
        assert observation.evidence is Evidence.FRESH, f"on bad data: {told}"
        assert "endless prompts" not in self.faults or policy.spec.workload.input_tokens, f"on no model: {told}"
        stale = f"stale {self.lease.holder}" in self.faults
        assert stale or not model.rolling, f"in a rollout: {told}"
        assert stale or not model.failing, f"pods fail: {told}"

    def _recent(self, name: str, policy: CapacityPolicy) -> list[Written]:
        """Writes within the period of the policy's pace."""
        (pace,) = policy.spec.behavior.scale_down.policies
        return [each for each in self.writes if each.name == name and each.at_s > self.true_s - pace.period_seconds]

    @staticmethod
    def _judge_pace(policy: CapacityPolicy, before: int, after: int, told: str, changes: list[tuple[int, int]]) -> None:
        (pace,) = policy.spec.behavior.scale_down.policies
        gone = sum(max(0, earlier - later) for earlier, later in changes)
        allowed = pace.value if pace.type == "Pods" else math.ceil((before + gone) * pace.value / 100.0)
        assert gone + before - after <= allowed, f"too fast: {told}"


@dataclass
class Judged:
    """A controller, what it sees, and what it decided."""

    controller: Controller
    caches: Any
    policies: Mapping[Key, CapacityPolicy] = field(default_factory=dict)
    past: dict[str, list[tuple[float, Decision]]] = field(default_factory=dict)

    def remember(self, at_s: float, ticked: Ticked) -> None:
        """Of one tick."""
        for (_, name), decision in ticked.decisions.items():
            self.past.setdefault(name, []).append((at_s, decision))


class _Switch:
    """A file that says whether all writing stops."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def on(self) -> bool:
        return self._on


class Api(Kubernetes):
    """The API server as one controller reaches it."""

    def __init__(self, world: SoakWorld, who: str) -> None:
        self._world, self._who = world, who

    def get(self, path: str, **_query: Any) -> Document:
        self._may_refuse("GET", path)
        kind, name, _ = _place(path)
        if (kind, name) not in self._world.objects:
            raise _refusal(404, "GET", path)
        found = self._world.objects[kind, name]
        return {"metadata": dict(found["metadata"]), "spec": dict(found["spec"])}

    def create(self, path: str, body: Document, **_more: Any) -> Document:
        self._may_refuse("POST", path)
        self._world.events[body["metadata"]["name"]] = dict(body)
        self._world.event_writes += 1
        return body

    def patch(self, path: str, body: Any, **_query: Any) -> Document:
        self._may_refuse("PATCH", path)
        plural, name, _ = _place(path)
        if plural == "events":
            if name not in self._world.events:
                raise _refusal(404, "PATCH", path)
            self._world.events[name] |= body
            self._world.event_writes += 1
            return {}
        if plural == "capacitypolicies":
            return self._tell(name, without_nothing(body["status"]))
        found = self._world.objects.get((plural, name))
        if found is None:
            raise _refusal(404, "PATCH", path)
        self._change(path, plural, name, found, body)
        if "lost answers" in self._world.faults:
            raise ApiError(status=0, reason="timed out", verb="PATCH", path=path, message="")
        return {}

    def _tell(self, name: str, status: Document) -> Document:
        """The status of a policy; it is seen with the next look."""
        self._world.told.append((self._who, name, status))
        known = self._world.policies[SPACE, name]
        self._world.policies[SPACE, name] = known.model_copy(update={"status": status})
        return {"status": status}

    def _change(self, path: str, kind: str, name: str, found: Document, body: list[Document]) -> None:
        field_name = "replicas" if kind == "Deployment" else _SCALERS[name][1]
        most_name = None if kind == "Deployment" else _SCALERS[name][2]
        asked = {each["path"].rpartition("/")[2]: each["value"] for each in body if each["op"] != "test"}
        most_before = None if most_name is None else int(found["spec"][most_name])
        before = int(found["spec"][field_name])
        tested = next(
            (each["value"] for each in body if each["path"] == f"/spec/{field_name}" and each["op"] == "test"), before
        )
        after = int(asked.get(field_name, before))
        for each in body:
            if each["op"] == "test":
                seen = found
                for part in each["path"].strip("/").split("/"):
                    seen = seen.get(part) if isinstance(seen, dict) else None
                none = kind == "Deployment" and seen == 0  # as `/scale` has it
                if (None if none else seen) != each["value"]:
                    raise _refusal(422, "PATCH", path)
        most = asked.get(most_name, most_before) if most_name else None
        ran, run = self._world.judge(self._who, name, int(tested or 0), after, most, most_before)
        for leaf, value in asked.items():
            found["spec"][leaf] = value
        self._world.accepted += 1
        self._world.writes.append(Written(self._world.true_s, name, before, after, ran, run))
        self._world._stamp(kind, name, "replicast")

    def _may_refuse(self, verb: str, path: str) -> None:
        for status in (0, 403, 409, 422, 429, 500):
            if f"api {status}" in self._world.faults and self._world.chance.random() < 0.7:
                raise _refusal(status, verb, path)


def _refusal(status: int, verb: str, path: str) -> ApiError:
    return ApiError(status=status, reason="soak", verb=verb, path=path, message="at random")


def _place(path: str) -> tuple[str, str, str]:
    parts = path.split(f"/namespaces/{SPACE}/")[1].split("/")
    kind = _PLURALS.get(parts[0], parts[0])
    return kind, parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else ""


def _limits(policy: CapacityPolicy, now_s: float) -> tuple[int, int]:
    bounds = policy.spec.bounds
    low, high = bounds.min, bounds.max
    for each in bounds.schedules:
        if in_force(each, now_s):
            low = low if each.min is None else each.min
            high = high if each.max is None else each.max
    if bounds.max_gpus is not None:
        high = min(high, bounds.max_gpus)
    if bounds.budget_per_hour is not None and bounds.gpu_price_per_hour is not None:
        high = min(high, int(bounds.budget_per_hour / bounds.gpu_price_per_hour))
    return low, high


def _profile(**changes: Any) -> Document:
    found = load_profile(PROFILE).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found["spec"].pop("measurements", None)
    found["spec"].update(changes)
    return {"apiVersion": "replicast.dev/v1alpha1", "kind": "EngineProfile", **found,
            "metadata": {"name": PROFILE, "namespace": SPACE}}  # fmt: skip


AS_MEASURED, AGAIN = profile_of(_profile()), profile_of(_profile(source="measured again"))


def _part(seen: EngineReadings) -> EngineReadings:
    return replace(seen, succeeded_per_s=0.4 * (seen.succeeded_per_s or 0.0), pods=max(0, seen.pods - 1))


_BLIND = {
    "prometheus down": Evidence.UNREACHABLE,
    "no series": Evidence.ABSENT,
    "stale series": Evidence.STALE,
    "not a number": Evidence.CONTRADICTORY,
    "clock skew": Evidence.SKEWED,
}
