"""What moving data between GPUs costs: messages and all-reduces over links of a bandwidth and a latency.

The model of a link is Hockney's (1994): latency + bytes / bandwidth. Contention between flows is not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Link:
    """Between two GPUs, one direction, as each of them has it for itself."""

    bytes_per_s: float
    latency_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bytes_per_s) and self.bytes_per_s > 0.0):
            raise InvalidInput(f"the bandwidth of a link must lie above 0 bytes/s, got {self.bytes_per_s:g}")
        if not (math.isfinite(self.latency_s) and 0.0 <= self.latency_s <= 1.0):
            raise InvalidInput(f"the latency of a link must lie between 0 and 1 s, got {self.latency_s:g}")


@dataclass(frozen=True, kw_only=True)
class TransferCost:
    """Seconds of a transfer: `fixed_s` + `per_byte_s` · bytes."""

    fixed_s: float = 0.0
    per_byte_s: float = 0.0

    def __add__(self, other: TransferCost) -> TransferCost:
        return TransferCost(fixed_s=self.fixed_s + other.fixed_s, per_byte_s=self.per_byte_s + other.per_byte_s)

    def times(self, count: float, share_of_bytes: float = 1.0) -> TransferCost:
        """So many of them one after the other, each of that share of the bytes."""
        return TransferCost(fixed_s=count * self.fixed_s, per_byte_s=count * share_of_bytes * self.per_byte_s)


def message(link: Link) -> TransferCost:
    """One message from one GPU to another."""
    return TransferCost(fixed_s=link.latency_s, per_byte_s=1.0 / link.bytes_per_s)


def ring_all_reduce(ranks: int, link: Link) -> TransferCost:
    """A ring's 2(k−1) messages of a k-th of the bytes: 2(k−1)·latency + 2(k−1)/k · bytes / bandwidth.

    Exact for a ring without contention; the bytes are the least that any all-reduce moves (Patarasu and Yuan, J.
    Parallel Distrib. Comput. 2009, theorem 1; Thakur, Rabenseifner and Gropp, IJHPCA 2005, §4.5).
    """
    return message(link).times(2 * (ranks - 1), 1.0 / ranks)


def all_reduce(ranks_per_node: int, nodes: int, inside: Link, between: Link) -> TransferCost:
    """Over GPUs of one or several nodes: rings in each node, and rings across nodes for each GPU's part of the bytes.

    The two levels of BlueConnect (Cho et al., SysML 2019, §3): reduce-scatter inside, all-reduce of a k-th of the bytes
    between, all-gather inside. Every GPU is taken to have a network port of its own.
    """
    across = ring_all_reduce(nodes, between).times(1, 1.0 / ranks_per_node)
    return ring_all_reduce(ranks_per_node, inside) + across
