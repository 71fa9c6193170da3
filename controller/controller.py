"""The loop: observe, decide, act, record; every policy once a tick."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from controller.apply import apply
from controller.caches import Caches
from controller.capacity_policy import CapacityPolicy
from controller.cluster_view import TargetView
from controller.decide import decide
from controller.decision import Decision
from controller.decision_log import DecisionLog, Entry, in_few_words
from controller.event_recorder import EventRecorder
from controller.events import events
from controller.failures import Failures, failed_decision
from controller.invalid_policies import InvalidPolicies, Within
from controller.invalid_policy import InvalidPolicy
from controller.kept_memory import adopted
from controller.kill_switch import KillSwitch
from controller.kubernetes_api import ApiError, Kubernetes
from controller.leader import Leadership
from controller.memory import Memory
from controller.notable_change import notable_change, other_words
from controller.pulse import Pulse
from controller.refusal import with_refusal
from controller.snapshot import Evidence, Observation, Snapshot, Target
from controller.snapshots import Key, Profile, shared_series, shared_targets, snapshot_of, views
from controller.status_teller import StatusTeller
from controller.telemetry import Telemetry
from controller.writes import perhaps_written, written

LOG = logging.getLogger("replicast.controller")
DECISIONS = logging.getLogger("replicast.decision")
SYNC_S = 60.0
TELLING_S = 3.0
"""Of a tick, for status and events: where a thousand policies change at once, the next look is not to wait for them."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What Prometheus is asked about for one policy."""

    policy: CapacityPolicy
    engine: str
    target: Target | None


class Observer(Protocol):
    """Looks at the load of all policies at once."""

    def __call__(self, asked: Mapping[Key, Asked]) -> Mapping[Key, Observation]: ...


@dataclass(frozen=True, kw_only=True)
class Ticked:
    """What one tick made."""

    decisions: Mapping[Key, Decision]
    unreadable: Mapping[Key, str]
    """Policies that could not be understood, and why."""
    writes: int
    seconds: float

    @property
    def undecided(self) -> dict[Key, str]:
        """Policies on which nothing could be concluded, and why."""
        blind = {
            key: "; ".join(reason.message for reason in decision.reasons)
            for key, decision in self.decisions.items()
            if decision.needed is None
        }
        return {**self.unreadable, **blind}


@dataclass
class Controller:
    """Everything that a tick needs; the memory of each policy is kept between ticks."""

    api: Kubernetes
    caches: Caches
    observe: Observer
    leader: Leadership
    telemetry: Telemetry
    log: DecisionLog | None = None
    dry_run: bool = False
    kill_switch: KillSwitch | None = None
    clock: Callable[[], float] = time.time
    memories: dict[Key, Memory] = field(default_factory=dict)
    telling_s: float = TELLING_S
    pulse: Pulse = field(default_factory=Pulse)
    _uids: dict[Key, str] = field(default_factory=dict)
    """Of the policies that are remembered: one that is made again under its name begins anew."""
    _led: bool = False
    """Whether this process led at the last tick: else what is in the status is another's."""
    _waits: str = ""
    """Who leads instead, as it was told last."""
    _last: dict[Key, Decision] = field(default_factory=dict)
    _told_last: Key = ("", "")

    def __post_init__(self) -> None:
        self._statuses, self._events = StatusTeller(self.api), EventRecorder(self.api)
        self._invalid, self._failures = InvalidPolicies(self.api), Failures(self.telemetry)

    def run(self, stop: threading.Event, interval_s: float) -> None:
        """Tick until told to stop. A tick that fails is told of, and the next one comes all the same."""
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                self.tick()
                self.pulse.ticked()
            except Exception as error:
                self.pulse.failed(error)
                LOG.exception("tick failed")
            stop.wait(max(0.1, interval_s - (time.monotonic() - began_s)))

    def tick(self) -> Ticked:
        """Look at every policy once."""
        began_s, now_s = time.monotonic(), self.clock()
        policies, invalid = self._policies()
        unreadable = {key: each.problem for key, each in invalid.items()}
        self._failures.begin()
        self._forget(policies)
        seen, others = views(self.caches.view(), policies), shared_targets(policies)
        profiles = self.caches.profiles.objects()
        asked = _asked(policies, seen, profiles)
        observations = self._observed(asked)
        killed, leads = self._killed(), self._may_write()
        sharing = shared_series(policies, profiles)
        entries: dict[Key, Entry] = {}
        failed = self._failures.now
        writes = 0
        for key, policy in policies.items():
            self.pulse.moved()
            profile = profiles.get((key[0], policy.spec.profile_ref.name))
            with self._failures.alone(key, "the decision"):
                snapshot = snapshot_of(
                    policy, now_s=now_s, seen=seen[key], observation=observations.get(key), profile=profile,
                    others=others[key], killed=killed, sharing=sharing[key],
                )  # fmt: skip
                entries[key] = self._carried_out(key, policy, snapshot, profile, leads=leads)
            entry = entries.get(key)
            if entry is None:
                continue
            writes += entry.written
            with self._failures.alone(key, "keeping the decision"):
                self._record(policy, profile, key, entry, now_s)
        if self._may_write():
            writes += self._tell(policies, {key: each for key, each in entries.items() if key not in failed}, now_s)
        writes += self._tell_failed(policies, now_s)
        unreadable |= failed
        writes += self._tell_invalid(policies, invalid, now_s)
        self._leads_now(self._may_write())
        seconds = time.monotonic() - began_s
        self.telemetry.ticked(seconds)
        self.telemetry.leading.set(self._may_write())
        decisions = {key: entry.decision for key, entry in entries.items()}
        return Ticked(decisions=decisions, unreadable=unreadable, writes=writes, seconds=seconds)

    def _leads_now(self, leads: bool) -> None:
        if leads != self._led:
            LOG.info("this process leads now" if leads else "this process leads no more")
        self._led = leads
        waits = "" if self.dry_run else self.leader.stands_by()
        if waits and waits != self._waits:
            LOG.warning("this process stands by and writes nothing: %s", waits)
        self._waits = waits

    def _memory(self, key: Key, policy: CapacityPolicy) -> Memory:
        """Our own; where another process led until now, or this one has just begun, with what the status keeps."""
        known = self.memories.get(key)
        if known is not None and self._led:
            return known
        return adopted(known or Memory(), policy.status, self.clock())

    def _carried_out(
        self, key: Key, policy: CapacityPolicy, snapshot: Snapshot, profile: Profile | None, *, leads: bool
    ) -> Entry:
        """Decided on and, by whoever leads, done; what was sent is never lost to an exception."""
        memory = self._memory(key, policy)
        outcome = decide(snapshot, memory, None if profile is None else profile.capacity)
        entry, after = Entry(snapshot=snapshot, memory=memory, decision=outcome.decision), outcome.memory
        if outcome.decision.write is not None and leads:
            entry, after = self._act(key, policy, entry, after)
        self.memories[key] = after
        return entry

    def _observed(self, asked: Mapping[Key, Asked]) -> Mapping[Key, Observation]:
        """What is believed of the load; where looking fails as a whole, nothing is, and it is told on every policy."""
        if not asked:
            return {}
        try:
            return self.observe(asked)
        except Exception as error:
            LOG.exception("the look at the metrics failed")
            why = f"the look at the metrics failed: {type(error).__name__}: {error}"[:500]
            return dict.fromkeys(asked, Observation(evidence=Evidence.UNREACHABLE, message=why))

    def _policies(self) -> tuple[dict[Key, CapacityPolicy], dict[Key, InvalidPolicy]]:
        good: dict[Key, CapacityPolicy] = {}
        bad: dict[Key, InvalidPolicy] = {}
        for key, each in sorted(self.caches.policies.objects().items()):
            if isinstance(each, InvalidPolicy):
                bad[key] = each
            else:
                good[key] = each
        return good, bad

    def _overtaken(self, key: Key, policy: CapacityPolicy) -> str:
        """Why a write is not made after all: what was so when the tick began is so no more. Empty for nothing."""
        if not self._may_write():
            return "this process leads no more since the tick began; the next leader decides anew"
        if self._killed():
            return "the kill switch was turned on since the tick began"
        now = self.caches.policies.get(key)
        if isinstance(now, CapacityPolicy) and now.metadata.deletion_timestamp:
            return "the policy is being deleted"
        if isinstance(now, CapacityPolicy) and (now.spec, now.metadata.uid) == (policy.spec, policy.metadata.uid):
            return ""
        return "the policy was changed since the tick began; the next one decides on it as it is now"

    def _may_write(self) -> bool:
        return not self.dry_run and self.leader.leads()

    def _killed(self) -> bool:
        return self.kill_switch is not None and self.kill_switch.on()

    def _act(self, key: Key, policy: CapacityPolicy, entry: Entry, memory: Memory) -> tuple[Entry, Memory]:
        write = entry.decision.write
        assert write is not None
        why_not = self._overtaken(key, policy)
        if why_not:
            LOG.info("%s: nothing is written: %s", policy.key, why_not)
            return replace(entry, error=why_not), memory
        try:
            version = apply(self.api, policy, write, within_s=self.leader.left_s())
        except ApiError as error:
            self.telemetry.wrote(policy.key, "refused" if error.status else "failed")
            LOG.warning("%s: %s", policy.key, error)
            unknown = error.status == 0 or error.status >= 500
            return replace(entry, error=str(error)), perhaps_written(memory, write) if unknown else memory
        except Exception as error:
            self.telemetry.wrote(policy.key, "failed")
            LOG.exception("%s: the write failed, and may have been made", policy.key)
            return replace(entry, error=f"{type(error).__name__}: {error}"[:500]), perhaps_written(memory, write)
        self.telemetry.wrote(policy.key, "written")
        LOG.info("%s: %s %d to %d", policy.key, write.lever, write.before, write.replicas)
        return replace(entry, written=True), written(entry.snapshot, memory, write, version)

    def _record(self, policy: CapacityPolicy, profile: Profile | None, key: Key, entry: Entry, now_s: float) -> None:
        """The log, metrics, and the events that are to be told: at once after it was carried out."""
        decision, before = entry.decision, self._last.get(key)
        if entry.written or bool(entry.error) or notable_change(before, decision):
            self._keep(entry, profile)
        if entry.written or entry.error or other_words(before, decision):
            self._say(entry)
        told = self._last[key] = with_refusal(decision, entry.error)
        self.telemetry.decided(told)
        if self._may_write():
            made = told if entry.written else replace(told, write=None)
            for each in events(made, self._known(policy, before)):
                self._events.add(policy, each, now_s)

    def _record_failed(self, policy: CapacityPolicy, key: Key, decision: Decision, now_s: float) -> None:
        """Metrics and the event. The decision log keeps what replays, and this would fail again."""
        before, self._last[key] = self._last.get(key), decision
        self.telemetry.failed(policy.key)
        self.telemetry.decided(decision)
        if self._may_write():
            for each in events(decision, self._known(policy, before)):
                self._events.add(policy, each, now_s)

    def _say(self, entry: Entry) -> None:
        """In few words to the structured log, by whoever leads."""
        if self.leader.leads():
            DECISIONS.info("%s", entry.decision.policy, extra={"fields": {"decision": in_few_words(entry)}})

    def _keep(self, entry: Entry, profile: Profile | None) -> None:
        """In the decision log. What cannot be kept stops nothing."""
        known = None if profile is None or profile.capacity is None else profile.capacity.profile
        if self.log is not None and not self.log.add(entry, known):
            self.telemetry.not_kept()

    def _known(self, policy: CapacityPolicy, before: Decision | None) -> set[str]:
        """Codes of the reasons that were told already, by us or by who led before."""
        if before is not None and self._led:
            return {reason.code for reason in before.reasons}
        return {str(each.get("code")) for each in policy.status.get("reasons") or () if isinstance(each, dict)}

    def _tell(self, policies: Mapping[Key, CapacityPolicy], entries: Mapping[Key, Entry], now_s: float) -> int:
        """Status and events, within a time: what is not told now is told at the next tick, others first."""
        end_s, told = time.monotonic() + self.telling_s, 0
        keys = list(entries)
        turn = next((index for index, key in enumerate(keys) if key > self._told_last), 0)
        for key in (*keys[turn:], *keys[:turn]):
            self.pulse.moved()
            if not self._may_write():
                return told
            with self._failures.alone(key, "the status"):
                told += self._tell_status(key, policies[key], entries[key], now_s)
            self._told_last = key
            if time.monotonic() > end_s and told:
                break
        while self._events.waiting and time.monotonic() < end_s and self._may_write():
            told += self._tell_event()
        return told

    def _tell_failed(self, policies: Mapping[Key, CapacityPolicy], now_s: float) -> int:
        """On each policy in which something of ours failed; the next decision takes it back."""
        told = 0
        for key, why in tuple(self._failures.now.items()):
            self.pulse.moved()
            policy = policies[key]
            decision, before = failed_decision(policy, why, now_s), self._last.get(key)
            self._last[key] = decision
            with self._failures.alone(key, "telling of it"):
                self.telemetry.decided(decision)
                if not self._may_write():
                    continue
                memory = self.memories.get(key) or self._memory(key, policy)
                told += self._told_status(policy, decision, memory, now_s)
                for each in events(decision, self._known(policy, before)):
                    self._events.add(policy, each, now_s)
        return told

    def _tell_status(self, key: Key, policy: CapacityPolicy, entry: Entry, now_s: float) -> bool:
        told = with_refusal(entry.decision, entry.error)
        return self._told_status(policy, told, self.memories[key], now_s)

    def _told_status(self, policy: CapacityPolicy, decision: Decision, memory: Memory, now_s: float) -> bool:
        try:
            return self._statuses.tell(policy, decision, memory, now_s, within_s=self.leader.left_s())
        except ApiError as error:
            LOG.warning("%s: %s", policy.key, error)
        return False

    def _tell_invalid(
        self, policies: Mapping[Key, CapacityPolicy], invalid: Mapping[Key, InvalidPolicy], now_s: float
    ) -> int:
        """Of each policy that cannot be understood; the next decision takes it back."""
        new, gone = self._invalid.seen(invalid)
        for key in gone - set(policies):
            self.telemetry.forget("/".join(key))
        for each in new:
            with self._failures.alone((each.metadata.namespace, each.metadata.name), "telling what is wrong"):
                decision = each.decision(now_s)
                self.telemetry.decided(decision)
                if self._may_write() and not each.told:
                    for event in events(decision, ()):
                        self._events.add(each, event, now_s)
        within = Within(may_write=self._may_write, left_s=self.leader.left_s, end_s=time.monotonic() + self.telling_s)
        return self._invalid.tell(invalid, now_s, within)

    def _tell_event(self) -> bool:
        try:
            return self._events.tell(within_s=self.leader.left_s())
        except ApiError as error:
            LOG.warning("an event was not told: %s", error)
        except Exception:
            LOG.exception("an event cannot be told")
        return False

    def _forget(self, policies: Mapping[Key, CapacityPolicy]) -> None:
        """What is not there any more, even where one of its name is there again."""
        uids = {key: policy.metadata.uid for key, policy in policies.items()}
        gone = [key for key, uid in self._uids.items() if uids.get(key) != uid]
        for key in gone:
            self.memories.pop(key, None)
            self._last.pop(key, None)
            self.telemetry.forget("/".join(key))
        self._uids = uids
        if gone:
            known = {policy.metadata.uid or policy.key for policy in policies.values()}
            self._statuses.forget_all_but(known)
            self._events.forget_all_but(known)


def _asked(
    policies: Mapping[Key, CapacityPolicy], seen: Mapping[Key, TargetView], profiles: Mapping[Key, Profile]
) -> dict[Key, Asked]:
    """Policies with a usable profile and a target: of the others nothing is concluded, whatever their metrics say."""
    found = {}
    for key, policy in policies.items():
        profile = profiles.get((key[0], policy.spec.profile_ref.name))
        if profile is None or profile.capacity is None or seen[key].target_problem:
            continue
        engine = profile.capacity.profile.spec.engine
        found[key] = Asked(policy=policy, engine=engine, target=seen[key].target)
    return found
