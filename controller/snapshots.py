"""From what the caches and Prometheus say to one snapshot a policy."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from weakref import WeakValueDictionary

from pydantic import ValidationError

from controller.capacity_model import CapacityModel
from controller.capacity_policy import CapacityPolicy
from controller.cluster_view import ClusterView, TargetView, target_view
from controller.decision_log import digest
from controller.kubernetes_api import Document
from controller.selector import Labels
from controller.snapshot import Evidence, Observation, Snapshot
from models.errors import InvalidInput
from planner.profile import EngineProfile

LOG = logging.getLogger("replicast.cluster")
MOST_SHARING = 6
"""Policies that are named; that there are more is told by the last."""
Key = tuple[str, str]
_Measured = tuple[tuple[str, str, str], str]
"""A target and its engine."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An EngineProfile as the cache keeps it: ready to answer, or why it cannot."""

    capacity: CapacityModel | None
    name: str = ""
    problem: str = ""


def profile_of(item: Document) -> Profile:
    """Of an EngineProfile object. What the server adds to its metadata is left aside."""
    metadata = item.get("metadata") or {}
    name = f"{metadata.get('namespace')}/{metadata.get('name')}"
    content = {**item, "metadata": {"name": metadata.get("name")}}
    content.pop("status", None)
    try:
        profile = EngineProfile.model_validate(content)
        if profile.spec.engine == "triton":
            profile.to_batcher() if profile.to_slots() is None else None
        else:
            profile.to_engine()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return Profile(capacity=None, problem=f"EngineProfile {name}: {where}: {first['msg']}"[:500])
    except InvalidInput as error:
        return Profile(capacity=None, problem=f"EngineProfile {name}: {error}; {error.remedy}"[:500])
    except Exception as error:
        LOG.exception("EngineProfile %s cannot be understood", name)
        return Profile(capacity=None, problem=f"EngineProfile {name}: {type(error).__name__}: {error}"[:500])
    named = digest(profile)
    return Profile(capacity=_models.setdefault(named, CapacityModel(profile)), name=named)


_models: WeakValueDictionary[str, CapacityModel] = WeakValueDictionary()
"""One for all namespaces that have the same profile: what is known of a load is known to all."""


def shared_targets(policies: Mapping[Key, CapacityPolicy]) -> dict[Key, tuple[str, ...]]:
    """For each policy the others that name its target."""
    by_target: dict[tuple[str, str, str], list[Key]] = defaultdict(list)
    for key, policy in policies.items():
        by_target[_target_of(policy)].append(key)
    return {
        key: tuple("/".join(other) for other in sorted(keys) if other != key)
        for keys in by_target.values()
        for key in keys
    }


def shared_series(
    policies: Mapping[Key, CapacityPolicy], profiles: Mapping[Key, Profile]
) -> dict[Key, tuple[str, ...]]:
    """For each policy those of other targets whose engines' series its labels select, too.

    All of another's series are among ours where its labels are ours and perhaps more. Labels that only may have series
    in common are left to the count of the pods that report.
    """
    by_labels: dict[Labels, list[Key]] = defaultdict(list)
    for key, policy in sorted(policies.items()):
        by_labels[frozenset(policy.spec.metrics.match_labels.items())].append(key)
    of = {key: (_target_of(policy), _engine(policy, profiles)) for key, policy in policies.items()}
    found: dict[Labels, list[list[Key]]] = {labels: [] for labels in by_labels}
    names = {frozenset(name for name, _ in labels) for labels in by_labels}
    for labels, keys in by_labels.items():
        for some in names:
            wider = frozenset(pair for pair in labels if pair[0] in some)
            if len(wider) == len(some) and wider in found:
                found[wider].append(keys)
    return {
        key: tuple(islice(("/".join(other) for other in chain(*others) if _counted(of[key], of[other])), MOST_SHARING))
        for labels, others in found.items()
        for key in by_labels[labels]
    }


def _counted(mine: _Measured, theirs: _Measured) -> bool:
    """Whether the other's load is mixed up with ours: of another target, and of an engine whose metrics are the same.

    Where an engine is not known it may be any.
    """
    return mine[0] != theirs[0] and (mine[1] == theirs[1] or "" in (mine[1], theirs[1]))


def _target_of(policy: CapacityPolicy) -> tuple[str, str, str]:
    ref = policy.spec.target_ref
    return policy.metadata.namespace, ref.kind, ref.name


def _engine(policy: CapacityPolicy, profiles: Mapping[Key, Profile]) -> str:
    """Empty where it is not known."""
    profile = profiles.get((policy.metadata.namespace, policy.spec.profile_ref.name))
    return "" if profile is None or profile.capacity is None else profile.capacity.profile.spec.engine


def snapshot_of(
    policy: CapacityPolicy,
    *,
    now_s: float,
    seen: TargetView,
    observation: Observation | None,
    profile: Profile | None,
    others: tuple[str, ...],
    killed: bool,
    sharing: tuple[str, ...] = (),
) -> Snapshot:
    """One policy at one moment."""
    missing = f"EngineProfile {policy.metadata.namespace}/{policy.spec.profile_ref.name} is not there"
    usable = profile is not None and profile.capacity is not None
    return Snapshot(
        now_s=now_s,
        policy=policy.key,
        generation=policy.metadata.generation,
        spec=policy.spec,
        observation=observation or Observation(evidence=Evidence.ABSENT, message=_not_asked(seen)),
        profile=profile.name if usable and profile is not None else None,
        profile_problem="" if usable else (missing if profile is None else profile.problem),
        target=seen.target,
        target_problem=seen.target_problem,
        cluster_problem=seen.cluster_problem,
        scaler=seen.scaler,
        scaler_problem=seen.scaler_problem,
        other_policies=others,
        sharing_policies=sharing,
        unmanaged_scaler=seen.unmanaged_scaler,
        gpus_free=seen.gpus_free,
        killed=killed,
        being_deleted="the policy" if policy.metadata.deletion_timestamp else seen.being_deleted,
    )


def _not_asked(seen: TargetView) -> str:
    if seen.target_problem:
        return f"its metrics are not asked for: {seen.target_problem}"
    return "nothing was asked for it yet"


def views(view: ClusterView, policies: Mapping[Key, CapacityPolicy]) -> dict[Key, TargetView]:
    """What each policy sees of the cluster."""
    return {key: _seen(view, policy) for key, policy in policies.items()}


def _seen(view: ClusterView, policy: CapacityPolicy) -> TargetView:
    """Where looking fails, which is an error of ours, the others see all the same."""
    try:
        return target_view(view, policy)
    except Exception as error:
        LOG.exception("%s: what of the cluster is its own cannot be told", policy.key)
        why = f"its objects cannot be understood: {type(error).__name__}: {error}"[:500]
        return TargetView(cluster_problem=why)
