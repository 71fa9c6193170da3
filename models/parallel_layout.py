"""How a replica's GPUs share a model, tensor-parallel in stages of a pipeline, and what a step spends on their talk."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.collectives import Link, TransferCost, all_reduce, message
from models.errors import InvalidInput

ALL_REDUCES_A_LAYER = 2
"""In a forward pass: after attention and after the feed-forward block (Shoeybi et al., Megatron-LM 2019, §3)."""
_VALUE_BYTES = 2.0
"""Activations travel in 16 bits."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`tensor` GPUs share every layer, `pipeline` stages share the layers; nodes hold `gpus_per_node` of them."""

    tensor: int = 1
    pipeline: int = 1
    gpus_per_node: int = 1
    """Of this replica on one node."""

    def __post_init__(self) -> None:
        inside, whole = self.gpus_per_node, self.tensor * self.pipeline
        if min(self.tensor, self.pipeline, inside) < 1 or whole % inside:
            raise InvalidInput(
                f"{whole} GPUs (tensor {self.tensor} × pipeline {self.pipeline}) do not spread evenly over nodes of "
                f"{inside}"
            )
        if max(self.tensor, inside) % min(self.tensor, inside):
            raise InvalidInput(
                f"{inside} GPUs of a node hold no whole number of tensor-parallel groups of {self.tensor}, nor these "
                "whole nodes"
            )

    @property
    def gpus(self) -> int:
        """Of a replica."""
        return self.tensor * self.pipeline

    @property
    def nodes(self) -> int:
        """Of a replica."""
        return self.gpus // self.gpus_per_node

    @property
    def tensor_per_node(self) -> int:
        """GPUs of one tensor-parallel group on one node."""
        return min(self.tensor, self.gpus_per_node)

    @property
    def hops_between(self) -> int:
        """Of the hops from stage to stage, those from node to node."""
        stages_per_node = max(1, self.gpus_per_node // self.tensor)
        return math.ceil(self.pipeline / stages_per_node) - 1 if self.nodes > 1 else 0


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What communication adds to a pass of all layers, seconds: `fixed_s` + `per_token_s` · tokens."""

    fixed_s: float = 0.0
    per_token_s: float = 0.0


def talk(layers: int, hidden: int, layout: Layout, inside: Link, between: Link) -> Talk:
    """Of one pass of a batch through all layers, of `hidden` values a token.

    Tensor parallelism: two all-reduces a layer of tokens × hidden values. Pipeline: a message of as many values from
    stage to stage (Narayanan et al., SC 2021, §2.2 and §3.2), and the sampled tokens back to the first. Nothing
    overlaps with computation.
    """
    reduce = all_reduce(layout.tensor_per_node, layout.tensor // layout.tensor_per_node, inside, between)
    hops = _hops(layout, inside, between)
    cost = reduce.times(ALL_REDUCES_A_LAYER * layers) + hops
    back = (between if layout.nodes > 1 else inside).latency_s if layout.pipeline > 1 else 0.0
    return Talk(fixed_s=cost.fixed_s + back, per_token_s=cost.per_byte_s * hidden * _VALUE_BYTES)


def _hops(layout: Layout, inside: Link, between: Link) -> TransferCost:
    far = layout.hops_between
    return message(between).times(far) + message(inside).times(layout.pipeline - 1 - far)
