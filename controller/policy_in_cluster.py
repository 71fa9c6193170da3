"""A policy with its status and events, read from the cluster by a user; what fails says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from controller.apply import path
from controller.caches import POLICIES
from controller.kubernetes_api import ApiError, Document, Kubernetes
from models.errors import InvalidInput

_ELSE = "a decision log needs no cluster: --decision-log FILE"
_MOST_NAMED = 10
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, kw_only=True)
class PolicyInCluster:
    """The object, and what was told on it."""

    document: Document
    events: tuple[Document, ...] = ()
    """Newest first."""
    events_problem: str = ""


def policy_in_cluster(
    name: str, *, namespace: str = "", kubeconfig: Path | None = None, context: str | None = None
) -> PolicyInCluster:
    """The policy of `NAME` or `NAMESPACE/NAME`. Raises InvalidInput where it cannot be read, with why."""
    first, slash, second = name.partition("/")
    for each in (first, second or first, namespace or first):
        if not _NAME.fullmatch(each):
            raise InvalidInput(
                f"{each!r} is no name in Kubernetes", remedy="give NAMESPACE/POLICY, such as serving/chat"
            )
    if slash and not second:
        raise InvalidInput(f"{name!r} names no policy", remedy="give NAMESPACE/POLICY, such as serving/chat")
    if slash and namespace and namespace != first:
        raise InvalidInput(f"{name} is in namespace {first}, and --namespace says {namespace}", remedy="give one")
    try:
        api = Kubernetes.connect(kubeconfig, context)
        space = first if slash else namespace or _namespace(kubeconfig, context)
    except InvalidInput as error:
        raise InvalidInput(str(error), remedy=f"{error.remedy}; {_ELSE}") from None
    except Exception as error:  # noqa: BLE001 -- whatever the client makes of a file that is no kubeconfig
        where = "your kubeconfig" if kubeconfig is None else str(kubeconfig)
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InvalidInput(f"{where} is no kubeconfig: {said}", remedy=f"give --kubeconfig FILE; {_ELSE}") from None
    return read_policy(api, space, second if slash else first)


def read_policy(api: Kubernetes, namespace: str, name: str) -> PolicyInCluster:
    """Raises InvalidInput where it is not there, or may not be read."""
    try:
        document = api.get(path(POLICIES, namespace, name))
    except ApiError as error:
        raise _why_not(api, namespace, name, error) from None
    uid = (document.get("metadata") or {}).get("uid", "")
    try:
        found = api.get(path("v1 events", namespace), fieldSelector=f"involvedObject.uid={uid}", limit=500)
    except ApiError as error:
        return PolicyInCluster(document=document, events_problem=str(error))
    events = sorted(found.get("items") or (), key=lambda each: str(each.get("lastTimestamp") or ""), reverse=True)
    return PolicyInCluster(document=document, events=tuple(events))


def _why_not(api: Kubernetes, namespace: str, name: str, error: ApiError) -> InvalidInput:
    if error.status == 404 and error.reason != "NotFound":  # a path that the server does not know, in plain text
        return InvalidInput(
            "the cluster has no CapacityPolicy: Replicast's custom resources are not installed",
            remedy=f"kubectl apply -f deploy/crds, or choose another cluster with --context; {_ELSE}",
        )
    if error.status == 404:
        return InvalidInput(f"there is no CapacityPolicy {namespace}/{name}", remedy=_others(api, namespace))
    if error.status == 403:
        return InvalidInput(
            f"you may not read it: {error.message}",
            remedy=f"ask for get on capacitypolicies.replicast.dev and list on events in {namespace}; {_ELSE}",
        )
    if error.status == 401:
        return InvalidInput("the cluster does not know you: 401 Unauthorized", remedy=f"log in again; {_ELSE}")
    if error.status == 0:
        return InvalidInput(f"the cluster cannot be reached: {error.reason}", remedy=f"check --context; {_ELSE}")
    return InvalidInput(str(error), remedy=_ELSE)


def _others(api: Kubernetes, namespace: str) -> str:
    try:
        found = api.get(path(POLICIES, namespace), limit=_MOST_NAMED).get("items") or ()
    except ApiError:
        return "kubectl get capacitypolicies --all-namespaces"
    names = ", ".join(f"{namespace}/{each['metadata']['name']}" for each in found)
    if names:
        return f"there are: {names}"
    return f"namespace {namespace} has none: kubectl get capacitypolicies --all-namespaces"


def _namespace(kubeconfig: Path | None, context: str | None) -> str:
    """Of the context, as kubectl takes it; in a cluster that of the pod."""
    from kubernetes import config

    if kubeconfig is None and context is None and _OWN_NAMESPACE.is_file():
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
    contexts, current = config.list_kube_config_contexts(None if kubeconfig is None else str(kubeconfig))
    named = next((each for each in contexts if each["name"] == context), current)
    return str((named.get("context") or {}).get("namespace") or "default")
