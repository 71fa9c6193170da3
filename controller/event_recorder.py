"""Events as Kubernetes' own recorder makes them: what comes again is counted on the event that is there.

Each object has a bucket of tokens, so that whatever flaps is told without a flood.

client-go, tools/record/events_cache.go: the same event again is a patch of `count` and `lastTimestamp`; per object 25
at once and one more in five minutes. There events are the same where their messages are; ours carry figures, so they
are the same by reason.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from controller.apply import path
from controller.capacity_policy import API_VERSION, CapacityPolicy
from controller.events import Told
from controller.invalid_policy import InvalidPolicy
from controller.kubernetes_api import ApiError, Document, Kubernetes
from controller.token_bucket import TokenBucket

BURST, REFILL_S = 25.0, 300.0
LASTING_S = 3600.0
"""The API server keeps an event for an hour; what comes again later is a new one."""
MOST_KINDS = 64
"""Of events of one policy that are remembered."""
MOST_WAITING = 5000
"""That wait to be told; beyond it the oldest are not."""
_MOST_TOLD = 1000
_EVENTS = "v1 events"


@dataclass
class _Series:
    """One event, however often it comes."""

    document: Document
    last_s: float
    bucket: TokenBucket
    made: bool = False
    waiting: bool = False

    def again(self, told: Told, now_s: float) -> None:
        self.document |= {
            "count": self.document["count"] + 1, "message": told.message[:_MOST_TOLD], "lastTimestamp": _time(now_s),
        }  # fmt: skip
        self.last_s = now_s


@dataclass
class _Object:
    """The events of one policy."""

    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(burst=BURST, refill_s=REFILL_S))
    series: OrderedDict[tuple[str, str], _Series] = field(default_factory=OrderedDict)


class EventRecorder:
    """Takes events, and tells them when there is time."""

    def __init__(self, api: Kubernetes) -> None:
        self.api = api
        self._objects: dict[str, _Object] = {}
        self._waiting: deque[_Series] = deque()

    def add(self, policy: CapacityPolicy | InvalidPolicy, told: Told, now_s: float) -> None:
        """It is to be told."""
        about = self._objects.setdefault(policy.metadata.uid or policy.key, _Object())
        same = (told.kind, told.same_as or told.reason)
        series = about.series.pop(same, None)
        if series is None or not 0.0 <= now_s - series.last_s < LASTING_S:
            series = _Series(document=_document(policy, told, now_s), last_s=now_s, bucket=about.bucket)
        else:
            series.again(told, now_s)
        about.series[same] = series
        if len(about.series) > MOST_KINDS:
            about.series.popitem(last=False)
        if not series.waiting:
            series.waiting = True
            self._waiting.append(series)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft().waiting = False

    @property
    def waiting(self) -> bool:
        """Whether any is to be told."""
        return bool(self._waiting)

    def tell(self, *, within_s: float | None = None) -> bool:
        """The oldest that waits: whether it was written. Without a token it is told, and counted, the next time.

        Raises ApiError where it could not be.
        """
        series = self._waiting.popleft()
        series.waiting = False
        if not series.bucket.take(series.last_s):
            return False
        if not (series.made and self._counted(series, within_s)):
            where = path(_EVENTS, series.document["metadata"]["namespace"])
            self.api.create(where, series.document, within_s=within_s)
            series.made = True
        return True

    def _counted(self, series: _Series, within_s: float | None) -> bool:
        """Whether the event was still there."""
        document, changed = series.document, ("count", "message", "lastTimestamp")
        where = path(_EVENTS, document["metadata"]["namespace"], document["metadata"]["name"])
        try:
            self.api.patch(where, {name: document[name] for name in changed}, within_s=within_s)
        except ApiError as error:
            if error.status != 404:
                raise
            document["metadata"]["name"] = _name(document["involvedObject"]["name"])
            return False
        return True

    def forget_all_but(self, policies: set[str]) -> None:
        """By uid."""
        self._objects = {uid: each for uid, each in self._objects.items() if uid in policies}


def _document(policy: CapacityPolicy | InvalidPolicy, told: Told, now_s: float) -> Document:
    """As the API server takes it (core/v1)."""
    metadata, time = policy.metadata, _time(now_s)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _name(metadata.name), "namespace": metadata.namespace},
        "type": told.kind,
        "reason": told.reason,
        "message": told.message[:_MOST_TOLD],
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "CapacityPolicy",
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        },
        "source": {"component": "replicast"},
        "reportingComponent": "replicast.dev/controller",
        "reportingInstance": "replicast",
        "action": "Scale",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def _name(policy: str) -> str:
    return f"{policy[:200]}.{uuid4().hex[:16]}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
