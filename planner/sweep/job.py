"""A sweep as a Kubernetes Job (batch/v1) with its script in a ConfigMap; results go to a volume that outlives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from models.errors import InvalidInput
from planner.sweep.plan import Sweep
from planner.sweep.script import script

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_IMAGE = re.compile(r"[\w./:@-]{1,400}", re.ASCII)
_SCRIPT = "sweep.sh"
_RESULTS = "/results"
_LEAST_DEADLINE_S, _UNKNOWN_DEADLINE_S = 3600, 24 * 3600
_SLOWER = 4.0
"""A sweep this many times slower than expected is stuck."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Where and with what the Job runs."""

    image: str
    """An image that has the benchmark tool and bash."""
    claim: str
    """Name of the PersistentVolumeClaim that keeps the results."""
    namespace: str | None = None
    token_secret: str | None = None
    """Secret whose key `token` is the access token with which the tokenizer is downloaded."""

    def __post_init__(self) -> None:
        if not _IMAGE.fullmatch(self.image) or self.image.startswith("-"):
            raise InvalidInput(f"--image {self.image[:120]!r} is no image", remedy="give it like name:tag")
        for option, name in (
            ("--results-claim", self.claim),
            ("--namespace", self.namespace),
            ("--token-secret", self.token_secret),
        ):
            if name is not None and not _LABEL.fullmatch(name):
                raise InvalidInput(
                    f"{option} {name[:80]!r} is no name of a Kubernetes object",
                    remedy="at most 63 of a-z, 0-9 and -, a letter or digit at both ends",
                )


def job(sweep: Sweep, options: JobOptions) -> str:
    """The ConfigMap and the Job, as YAML."""
    documents = (_config_map(sweep, options), _job(sweep, options))
    return "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000) for document in documents
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that the script reads as one."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _metadata(sweep: Sweep, options: JobOptions) -> dict[str, Any]:
    namespace = {"namespace": options.namespace} if options.namespace else {}
    return {
        "name": f"sweep-{sweep.slug}",
        **namespace,
        "labels": {"app.kubernetes.io/name": "sweep", "app.kubernetes.io/part-of": "replicast"},
    }


def _config_map(sweep: Sweep, options: JobOptions) -> dict[str, Any]:
    # In a ConfigMap and not in `args`, where Kubernetes would expand what looks like $(NAME).
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(sweep, options),
        "data": {_SCRIPT: script(sweep)},
    }


def _job(sweep: Sweep, options: JobOptions) -> dict[str, Any]:
    expected = sweep.expected_s
    deadline = _UNKNOWN_DEADLINE_S if expected is None else max(_LEAST_DEADLINE_S, int(_SLOWER * expected))
    metadata = _metadata(sweep, options)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # One pod, once: a second attempt would begin on a warm engine, and the script repeats what failed anyway.
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "template": {
                "metadata": {"labels": dict(metadata["labels"])},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "containers": [_container(options)],
                    "volumes": [
                        {"name": "script", "configMap": {"name": metadata["name"]}},
                        {"name": "results", "persistentVolumeClaim": {"claimName": options.claim}},
                    ],
                },
            },
        },
    }


def _container(options: JobOptions) -> dict[str, Any]:
    environment: list[dict[str, Any]] = [{"name": "RESULTS", "value": _RESULTS}]
    if options.token_secret:
        reference = {"name": options.token_secret, "key": "token"}
        environment.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}})
    return {
        "name": "benchmark",
        "image": options.image,
        "command": ["bash", f"/sweep/{_SCRIPT}"],
        "env": environment,
        # A client that waits for a CPU measures itself.
        "resources": {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "16Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "script", "mountPath": "/sweep", "readOnly": True},
            {"name": "results", "mountPath": _RESULTS},
        ],
    }
