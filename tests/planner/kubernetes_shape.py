"""Whether a manifest has only fields that Kubernetes knows: by its client's models, and by tables for two others."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

_MODELS = {
    "ConfigMap": client.V1ConfigMap,
    "Deployment": client.V1Deployment,
    "HorizontalPodAutoscaler": client.V2HorizontalPodAutoscaler,
    "PodDisruptionBudget": client.V1PodDisruptionBudget,
    "Service": client.V1Service,
}
_LEADER_WORKER_SET = {
    "spec": {
        "replicas": int,
        "startupPolicy": {"LeaderCreated", "LeaderReady"},
        "rolloutStrategy": {
            "type": {"RollingUpdate"},
            "rollingUpdateConfiguration": {"maxUnavailable": int, "maxSurge": int},
        },
        "leaderWorkerTemplate": {
            "size": int,
            "restartPolicy": {"RecreateGroupOnPodRestart", "None"},
            "leaderTemplate": client.V1PodTemplateSpec,
            "workerTemplate": client.V1PodTemplateSpec,
        },
    },
}
_HTTP_ROUTE = {
    "spec": {
        "parentRefs": [{"name": str}],
        "rules": [
            {
                "matches": [{"path": {"type": {"Exact", "PathPrefix"}, "value": str}}],
                "filters": [
                    {
                        "type": {"URLRewrite"},
                        "urlRewrite": {"path": {"type": {"ReplaceFullPath"}, "replaceFullPath": str}},
                    }
                ],
                "backendRefs": [{"name": str, "port": int}],
                "timeouts": {"request": str},
            }
        ],
    },
}
_GATEWAY = {"spec": {"gatewayClassName": str, "listeners": [{"name": str, "port": int, "protocol": {"HTTP"}}]}}
_TABLES = {"LeaderWorkerSet": _LEADER_WORKER_SET, "HTTPRoute": _HTTP_ROUTE, "Gateway": _GATEWAY}
_COMMON = {"apiVersion": str, "kind": str, "metadata": client.V1ObjectMeta}
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def faults(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with it; nothing where it is as Kubernetes would have it."""
    kind = manifest["kind"]
    name = manifest["metadata"]["name"]
    named = [] if _LABEL.fullmatch(name) and len(name) <= 63 else [f"{kind}: name {name!r}"]
    if kind in _TABLES:
        return [*named, *_against(manifest, {**_COMMON, **_TABLES[kind]}, kind)]
    return [*named, *_against(manifest, _MODELS[kind], kind)]


def _against(value: Any, shape: Any, where: str) -> list[str]:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no mapping"]
        unknown = [f"{where}.{key} is unknown" for key in value.keys() - shape.keys()]
        return unknown + [
            fault for key in value.keys() & shape.keys() for fault in _against(value[key], shape[key], f"{where}.{key}")
        ]
    if isinstance(shape, list):
        return [fault for index, item in enumerate(value) for fault in _against(item, shape[0], f"{where}[{index}]")]
    if isinstance(shape, set):
        return [] if value in shape else [f"{where} is {value!r}"]
    if hasattr(shape, "openapi_types"):
        fields = {shape.attribute_map[name]: kind for name, kind in shape.openapi_types.items()}
        return _against(value, {key: _of(kind) for key, kind in fields.items()}, where)
    if shape is Any or isinstance(value, shape):
        return []
    return [f"{where} is {value!r}, no {shape.__name__}"]


def _of(kind: str) -> Any:
    """The shape that the client's own notation names."""
    listed = re.fullmatch(r"list\[(.*)\]", kind)
    if listed:
        return [_of(listed[1])]
    if kind.startswith("dict("):
        return dict
    if hasattr(client, kind):
        return getattr(client, kind)
    return {"str": str, "int": int, "bool": bool, "float": float}.get(kind, object)
