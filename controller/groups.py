"""Groups of pods that are one replica, as a LeaderWorkerSet makes them: a group is as good as the worst of its pods.

Labels: https://lws.sigs.k8s.io, "Labels, annotations and environment variables".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from controller.cluster_objects import Pod

GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"


def replicas_of(pods: Iterable[Pod], size: int) -> list[Pod]:
    """Each group as one pod would be: ready where all of its pods are, failing or without a place where one is."""
    groups: dict[str, list[Pod]] = defaultdict(list)
    for each in pods:
        index = dict(each.labels).get(GROUP_INDEX)
        if index is not None:
            groups[index].append(each)
    return [_whole(group, size) for _, group in sorted(groups.items())]


def _whole(group: list[Pod], size: int) -> Pod:
    failing = any(each.failing for each in group)
    unschedulable = not failing and any(each.unschedulable for each in group)
    ready = not failing and not unschedulable and sum(each.ready for each in group) >= size
    return Pod(labels=group[0].labels, ready=ready, unschedulable=unschedulable, failing=failing)
