"""The typed API of leases as the leader's election uses it: in time, and with what it was refused remembered."""

from __future__ import annotations

import json
from typing import Any

from controller.kubernetes_api import Kubernetes

_MOST_TOLD = 300


class Problem:
    """Why the lease could not be looked at, made or renewed the last time; empty where it could."""

    told = ""
    asked = False
    """Whether the lease was asked for at all."""


def _said(error: Exception) -> str:
    status = getattr(error, "status", None)
    if not status:
        return f"the API server cannot be reached ({type(error).__name__})"
    try:
        message = str(json.loads(str(getattr(error, "body", "")))["message"])
    except (ValueError, KeyError, TypeError):
        message = "it says no more"
    return f"{status} {getattr(error, 'reason', '')}: {message}"[:_MOST_TOLD]


def coordination(api: Kubernetes, deadline_s: int, problem: Problem) -> Any:
    """The typed API of leases, with a time-out on every call: a frozen server must not freeze the renewal."""
    from kubernetes.client import CoordinationV1Api

    typed = CoordinationV1Api(api.client)
    for name, usual in (
        ("read_namespaced_lease", 404), ("create_namespaced_lease", 409), ("replace_namespaced_lease", 409)
    ):  # fmt: skip
        setattr(typed, name, _timed(getattr(typed, name), deadline_s / 2.0, problem, usual))
    return typed


def _timed(call: Any, seconds: float, problem: Problem, usual: int) -> Any:
    """`usual` is the status of a refusal that is none: there is no lease yet, or another was quicker."""

    def timed(*arguments: Any, **named: Any) -> Any:
        try:
            answer = call(*arguments, _request_timeout=seconds, **named)
        except Exception as error:
            problem.told = "" if getattr(error, "status", None) == usual else _said(error)
            raise
        else:
            problem.told = ""
        finally:
            problem.asked = True
        return answer

    return timed
