"""One server of a plan: a service or route of it, and several models in one Triton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.errors import InvalidInput
from planner.kubernetes_names import dns_label, free_name
from planner.manifests.server import Engine, Server
from planner.plan_fields import Predicted, Served, Serving
from planner.profile import Gpu
from planner.served_model import served_model

ServingOf = Callable[[str], Serving | None]
"""How the replicas of a profile by this name are started; None where it is not known."""


def server_of(served: Served, serving_of: ServingOf) -> Server:
    """Of a service or route."""
    serving = known_serving(served.serving or serving_of(served.profile), served.profile)
    name = dns_label(served.name or served.profile)
    gpu = serving.gpu
    rate = served.qps if served.qps is not None else served.predicted.throughput.requests_per_s
    return Server(
        name=name,
        models=(served_model(name, serving),),
        replicas=served.replicas,
        gpus=_whole(gpu, served.profile),
        nodes=gpu.nodes_per_replica,
        gpu_type=gpu.type,
        engine_version=serving.engine_version,
        cold_start_s=None if serving.cold_start is None else serving.cold_start.p95,
        longest_s=longest_s(served.predicted),
        concurrency=concurrency(serving.engine, served.predicted, rate, served.replicas),
        least=max(served.replicas, served.min_replicas or 1),
        most=served.max_replicas,
    )


def known_serving(serving: Serving | None, profile: str) -> Serving:
    """The same, where it is known. Raises InvalidInput where it is not."""
    if serving is None:
        raise InvalidInput(
            f"the plan does not say how profile {profile} is started",
            remedy="name its file with --profile FILE",
        )
    return serving


def _whole(gpu: Gpu, profile: str) -> int:
    if gpu.per_replica % gpu.nodes_per_replica:
        raise InvalidInput(
            f"profile {profile}: {gpu.per_replica} GPUs do not spread evenly over {gpu.nodes_per_replica} nodes",
            remedy="mend gpu.perReplica or gpu.nodesPerReplica",
        )
    return gpu.per_replica


def longest_s(predicted: Predicted) -> float:
    """Of the predicted statistics, the longest answer."""
    return max((value for value in predicted.e2e.values() if value is not None), default=0.0)


def concurrency(engine: Engine, predicted: Predicted, rate: float | None, replicas: int) -> float | None:
    """By Little's law: those in a replica of vLLM, those that wait in one of Triton."""
    mean = (predicted.e2e if engine == "vllm" else predicted.queue).get("mean")
    return None if mean is None or rate is None else rate * mean / replicas


def together(servers: Sequence[Server], replicas: int) -> Server:
    """Several models in one Triton, which shares a GPU among them."""
    first = servers[0]
    other = [each for each in servers if each.engine != "triton"]
    if other:
        beside = ", ".join(each.name for each in servers if each is not other[0])
        raise InvalidInput(
            f"{other[0].name} is served by {other[0].engine} and shares a GPU with {beside}: only models of one Triton "
            "do so in a pod",
            remedy="give it a GPU or a slice of its own (planner pack)",
        )
    if len(servers) == 1:
        return replace(first, replicas=replicas, least=replicas)
    models = tuple(model for each in servers for model in each.models)
    name = dns_label("-".join(model.name for model in models))
    return Server(
        name=name,
        models=models,
        replicas=replicas,
        gpus=max(each.gpus for each in servers),
        gpu_type=first.gpu_type,
        engine_version=first.engine_version,
        cold_start_s=None
        if any(s.cold_start_s is None for s in servers)
        else sum(s.cold_start_s or 0.0 for s in servers),
        longest_s=max(each.longest_s for each in servers),
        concurrency=max((each.concurrency or 0.0 for each in servers), default=None),
        least=replicas,
        notes=tuple(dict.fromkeys(note for each in servers for note in each.notes)),
    )


def distinctly_named(servers: Sequence[Server]) -> tuple[Server, ...]:
    """Each under a name of its own; a model's own server keeps the model's name, which no other has."""
    models = {model.name for server in servers for model in server.models}
    taken: set[str] = set()
    found = []
    for server in servers:
        own = len(server.models) == 1 and server.models[0].name == server.name and server.name not in taken
        name = server.name if own else free_name(server.name, taken | models)
        taken.add(name)
        found.append(replace(server, name=name))
    return tuple(found)
