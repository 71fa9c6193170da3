"""Nodes of a plan: how many of the GPU's usual nodes its replicas take, and what of them stays idle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.hardware import find_gpu
from planner.profile import Gpu


@dataclass(frozen=True, kw_only=True)
class NodeCount:
    """Replicas of one size on nodes that hold nothing else."""

    nodes: int
    gpus_per_node: int | None
    """None where replicas span whole nodes of a GPU that is not in the table."""
    replicas_per_node: int | None
    """None where a replica takes whole nodes."""
    fragmented_gpus: int
    """On full nodes, GPUs that no replica of this size can use."""
    free_gpus: int
    """On the last node, GPUs that further replicas could use."""

    def fields(self) -> dict[str, Any]:
        """For JSON, beside the number of nodes."""
        return {
            "gpus_per_node": self.gpus_per_node,
            "replicas_per_node": self.replicas_per_node,
            "fragmented_gpus": self.fragmented_gpus,
            "free_gpus": self.free_gpus,
        }

    def told(self) -> str:
        """In a line for people."""
        if self.gpus_per_node is None:
            return f"{self.nodes:,}"
        said = f"{self.nodes:,} of {self.gpus_per_node} GPUs"
        if self.replicas_per_node is None:
            said += ", whole nodes for each replica"
            said += f", {self.fragmented_gpus:,} GPUs of which stay idle" if self.fragmented_gpus else ""
        elif self.fragmented_gpus:
            said += f"; {self.fragmented_gpus:,} GPUs idle beside replicas, too few for another"
        if self.free_gpus:
            said += f"; {self.free_gpus:,} GPUs free for others"
        return said


def node_count(gpu: Gpu, replicas: int) -> NodeCount | None:
    """Of so many replicas; None where it is not known how many GPUs a node has, or a replica is larger than one."""
    sheet = find_gpu(gpu.type)
    per_node = None if sheet is None else sheet.gpus_per_node
    if gpu.nodes_per_replica > 1:
        nodes = replicas * gpu.nodes_per_replica
        idle = 0 if per_node is None else max(0, nodes * per_node - replicas * gpu.per_replica)
        return NodeCount(nodes=nodes, gpus_per_node=per_node, replicas_per_node=None, fragmented_gpus=idle, free_gpus=0)
    if per_node is None or not 0 < gpu.per_replica <= per_node:
        return None
    on_one = per_node // gpu.per_replica
    nodes = -(-replicas // on_one)
    free = (nodes * on_one - replicas) * gpu.per_replica
    return NodeCount(
        nodes=nodes,
        gpus_per_node=per_node,
        replicas_per_node=on_one,
        fragmented_gpus=nodes * per_node - replicas * gpu.per_replica - free,
        free_gpus=free,
    )


def paid_gpus(gpu: Gpu, replicas: int, gpus_per_node: int | None = None) -> int:
    """GPUs that so many replicas keep from others: of those that span nodes, all of their nodes.

    As many as work where it is not known how many a node has; `gpus_per_node` is what is said of it.
    """
    sheet = find_gpu(gpu.type)
    per_node = gpus_per_node or (None if sheet is None else sheet.gpus_per_node)
    if gpu.nodes_per_replica == 1 or per_node is None:
        return replicas * gpu.per_replica
    return replicas * max(gpu.per_replica, gpu.nodes_per_replica * per_node)


def paid_note(gpu: Gpu, replicas: int) -> str | None:
    """Where more is paid than works; None elsewhere."""
    paid, used = paid_gpus(gpu, replicas), replicas * gpu.per_replica
    return None if paid == used else f"for {paid:,} GPUs of whole nodes, of which {used:,} work"


def node_fields(count: NodeCount | None) -> dict[str, Any]:
    """`nodes` and what is behind it, for JSON; null where it is not known."""
    return {"nodes": None if count is None else count.nodes, "node_use": None if count is None else count.fields()}
