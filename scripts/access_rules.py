"""`deploy/rbac.yaml`, and that of one namespace: the permissions that the code states, as roles and their bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from controller.permissions import EVERYWHERE, OWN_NAMESPACE, Permission

ACCOUNT, NAMESPACE = "replicast-controller", "replicast-system"
POLICIES = "replicast-policies"
"""Name of the Role for policies and targets of one namespace."""
_API = "rbac.authorization.k8s.io"
_LABELS = {"app.kubernetes.io/name": "replicast", "app.kubernetes.io/component": "controller"}


def access_yaml() -> str:
    """A ClusterRole for what is everywhere and a Role for its own namespace, each bound to the service account."""
    return "---\n".join(
        (
            _role("ClusterRole", EVERYWHERE, None),
            _binding("ClusterRoleBinding", "ClusterRole", None),
            _role("Role", OWN_NAMESPACE, NAMESPACE),
            _binding("RoleBinding", "Role", NAMESPACE),
        )
    )


def namespaced_access_yaml() -> str:
    """A Role instead of the ClusterRole, beside the one for the lease; kustomize puts both into a user's namespace."""
    return "---\n".join(
        (_role("Role", EVERYWHERE, NAMESPACE, POLICIES), _binding("RoleBinding", "Role", NAMESPACE, POLICIES))
    )


def _role(kind: str, permissions: Sequence[Permission], namespace: str | None, name: str = ACCOUNT) -> str:
    head = yaml.safe_dump(_head(kind, namespace, name), sort_keys=False)
    return head + "rules:\n" + "".join(f"# {each.why}\n{_listed(_rule(each))}" for each in permissions)


def _rule(permission: Permission) -> dict[str, Any]:
    rule = {
        "apiGroups": [permission.group],
        "resources": list(permission.resources),
        "verbs": list(permission.verbs),
    }
    return {**rule, "resourceNames": list(permission.names)} if permission.names else rule


def _listed(rule: dict[str, Any]) -> str:
    lines = [f"{key}: {yaml.safe_dump(value, default_flow_style=True).strip()}" for key, value in rule.items()]
    return "- " + "\n  ".join(lines) + "\n"


def _binding(kind: str, role: str, namespace: str | None, name: str = ACCOUNT) -> str:
    body = {
        **_head(kind, namespace, name),
        "roleRef": {"apiGroup": _API, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    return yaml.safe_dump(body, sort_keys=False)


def _head(kind: str, namespace: str | None, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": _LABELS}
    return {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": dict(metadata, labels=dict(_LABELS))}
