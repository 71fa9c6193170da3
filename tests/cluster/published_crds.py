"""Custom resource definitions that others publish, as they publish them (crds/SOURCE.md)."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

_NAMES = {"leaderworkersets.leaderworkerset.x-k8s.io", "scaledobjects.keda.sh"}
_FOLDER = Path(__file__).parent / "crds"


def leader_worker_sets() -> str:
    """`LeaderWorkerSet` of leaderworkerset.x-k8s.io/v1, YAML."""
    packed = (_FOLDER / "leaderworkerset.x-k8s.io_leaderworkersets.yaml.xz").read_bytes()
    return lzma.decompress(packed).decode()


def scaled_objects() -> str:
    """`ScaledObject` of keda.sh/v1alpha1, YAML."""
    return (_FOLDER / "keda.sh_scaledobjects.yaml").read_text(encoding="utf-8")


def apply_definitions(control_plane: ControlPlane) -> None:
    """Make both known to the API server, and wait until they are served. Harmless where they are already."""
    for text in (leader_worker_sets(), scaled_objects()):  # on the server's side: one is too large for an annotation
        control_plane.kubectl("apply", "--server-side", "-f", "-", text=text)
    eventually(lambda: _established(control_plane), lambda seen: seen >= _NAMES)


def _established(control_plane: ControlPlane) -> set[str]:
    found = json.loads(control_plane.kubectl("get", "customresourcedefinitions", "-o", "json"))["items"]
    return {
        each["metadata"]["name"]
        for each in found
        for condition in each.get("status", {}).get("conditions") or []
        if condition["type"] == "Established" and condition["status"] == "True"
    }
