"""What replicas of several routes take of each GPU type: GPUs, nodes that they share, and money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from models.errors import InvalidInput
from planner.node_count import paid_gpus
from planner.node_packing import NodePacking, pack_nodes
from planner.topology_file import NodePool, Route, Topology

Counts = Mapping[str, int]
"""Replicas by the name of a route."""


@dataclass(frozen=True, kw_only=True)
class PoolUse:
    """Of one GPU type."""

    pool: NodePool
    gpus: int
    whole_nodes: int
    """Of replicas that span nodes, or fill them."""
    packing: NodePacking | None
    """Of those that share nodes; None where it is not known how many GPUs a node has."""
    cost_per_h: float | None

    @property
    def nodes(self) -> int | None:
        """All of them."""
        return None if self.packing is None else self.packing.nodes + self.whole_nodes

    @property
    def lower_bound(self) -> int | None:
        """Fewer nodes cannot hold these replicas."""
        return None if self.packing is None else self.packing.lower_bound + self.whole_nodes

    @property
    def idle_gpus(self) -> int | None:
        """GPUs of the nodes that no replica uses."""
        if self.nodes is None or self.pool.gpus_per_node is None:
            return None
        return self.nodes * self.pool.gpus_per_node - self.gpus


def pool_uses(topology: Topology, counts: Counts) -> dict[str, PoolUse]:
    """By GPU type. Raises InvalidInput where a replica does not fit its nodes."""
    return {kind: _use(pool, topology.routes, counts) for kind, pool in topology.pools.items()}


def _use(pool: NodePool, routes: Sequence[Route], counts: Counts) -> PoolUse:
    mine = [route for route in routes if route.gpu_type == pool.gpu]
    gpus = sum(counts[route.name] * route.profile.spec.gpu.per_replica for route in mine)
    whole, sizes = 0, Counter[int]()
    for route in mine:
        gpu, replicas = route.profile.spec.gpu, counts[route.name]
        if gpu.nodes_per_replica > 1:
            _require_room(route, pool)
            whole += replicas * gpu.nodes_per_replica
        else:
            sizes[gpu.per_replica] += replicas
    packing = None
    if pool.gpus_per_node is not None:
        packing = _packed(tuple(sorted(sizes.items())), pool.gpus_per_node)
    nodes = None if packing is None else packing.nodes + whole
    return PoolUse(
        pool=pool,
        gpus=gpus,
        whole_nodes=whole,
        packing=packing,
        cost_per_h=_cost(pool, nodes, mine, counts),
    )


@lru_cache(maxsize=4096)
def _packed(sizes: tuple[tuple[int, int], ...], gpus_per_node: int) -> NodePacking:
    return pack_nodes(dict(sizes), gpus_per_node)


def _require_room(route: Route, pool: NodePool) -> None:
    gpu = route.profile.spec.gpu
    if pool.gpus_per_node is not None and gpu.per_replica > gpu.nodes_per_replica * pool.gpus_per_node:
        raise InvalidInput(
            f"route {route.name!r}: {gpu.per_replica} GPUs a replica on {gpu.nodes_per_replica} nodes are more than "
            f"the {pool.gpus_per_node} GPUs of a node of the pool",
            remedy="raise nodesPerReplica, or mend gpusPerNode",
        )


def route_gpus_paid(route: Route, replicas: int, pool: NodePool) -> int:
    """Whole nodes of replicas that span them, by the pool's size of a node."""
    return paid_gpus(route.profile.spec.gpu, replicas, pool.gpus_per_node)


def _cost(pool: NodePool, nodes: int | None, routes: Sequence[Route], counts: Counts) -> float | None:
    """Nodes by their price, else GPUs by the routes' prices; None where one of them is not known."""
    if pool.price_per_h is not None:
        return None if nodes is None else nodes * pool.price_per_h
    prices = [(route_gpus_paid(r, counts[r.name], pool), r.service.gpu_price_per_h) for r in routes]
    return None if any(price is None for _, price in prices) else sum(gpus * (price or 0.0) for gpus, price in prices)
