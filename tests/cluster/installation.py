"""Replicast in a cluster, as `kubectl apply -k deploy` installs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEM = "replicast-system"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:replicast-controller"
"""Who the controller is to the API server."""
_KINDS = {"capacitypolicies.replicast.dev", "engineprofiles.replicast.dev"}


def install(control_plane: ControlPlane) -> None:
    """Custom resources, roles and the controller's own Deployment; harmless where they are already."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(DEPLOY))
    eventually(lambda: established(control_plane), lambda seen: seen >= _KINDS)


def established(control_plane: ControlPlane) -> set[str]:
    """Names of the definitions that the API server serves."""
    found = json.loads(control_plane.kubectl("get", "customresourcedefinitions", "-o", "json"))["items"]
    return {
        each["metadata"]["name"]
        for each in found
        for condition in each.get("status", {}).get("conditions") or []
        if condition["type"] == "Established" and condition["status"] == "True"
    }
