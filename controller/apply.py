"""The only place that writes: one patch for one decision, made only if the object is still as it was seen.

A JSON patch tests the values that the decision rested on before it replaces them (RFC 6902, §4.6), so that a change by
somebody else between observation and write makes the server refuse ours.
"""

from __future__ import annotations

from typing import Any

from controller.capacity_policy import CapacityPolicy
from controller.cluster_view import KINDS
from controller.decision import Lever, Write
from controller.kubernetes_api import JSON_PATCH, Document, Kubernetes

_SCALERS = {
    Lever.HPA: ("autoscaling/v2 horizontalpodautoscalers", "minReplicas", "maxReplicas"),
    Lever.SCALED_OBJECT: ("keda.sh/v1alpha1 scaledobjects", "minReplicaCount", "maxReplicaCount"),
}


def apply(api: Kubernetes, policy: CapacityPolicy, write: Write) -> None:
    """Make the write. Raises ApiError: 409 and 422 where the object has changed, 403 where a verb is not allowed."""
    namespace = policy.metadata.namespace
    if write.lever is Lever.SCALE:
        kind = KINDS[policy.spec.target_ref.kind]
        api.patch(f"{path(kind, namespace, write.name)}/scale", scale_patch(write), kind=JSON_PATCH)
        return
    kind, least, most = _SCALERS[write.lever]
    where = path(kind, namespace, write.name)
    api.patch(where, scaler_patch(write, api.get(where), least, most), kind=JSON_PATCH)


def path(kind: str, namespace: str, name: str = "") -> str:
    """Of an object, or of a list; `kind` is `GROUP/VERSION PLURAL`."""
    group_version, plural = kind.split()
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{within}/{plural}" + (f"/{name}" if name else "")


def scale_patch(write: Write) -> list[dict[str, Any]]:
    """Of `/scale`. A scale of zero has no `spec.replicas` in its JSON: there nothing can be tested but its absence."""
    replace = {"op": "add", "path": "/spec/replicas", "value": write.replicas}
    if write.before == 0:
        return [replace]
    return [{"op": "test", "path": "/spec/replicas", "value": write.before}, replace]


def scaler_patch(write: Write, seen: Document, least: str, most: str) -> list[dict[str, Any]]:
    """Of an HPA or ScaledObject: the minimum that was decided on, and the version that was read just now."""
    spec = seen.get("spec") or {}
    if spec.get(least, write.before) != write.before:
        # Somebody else was there between: a test that must fail lets the server say so in its own words.
        return [{"op": "test", "path": f"/spec/{least}", "value": write.before}]
    version = str((seen.get("metadata") or {}).get("resourceVersion", ""))
    patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    for name, value in ((least, write.replicas), (most, write.maximum)):
        if value is not None and spec.get(name) != value:
            patch.append({"op": "add", "path": f"/spec/{name}", "value": value})
    return patch
