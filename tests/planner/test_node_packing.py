"""Replicas on nodes: never fewer than hold them, and as few as a search of every packing finds."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import InvalidInput
from planner.node_count import node_count
from planner.node_packing import pack_nodes
from planner.profile import Gpu


def least_by_search(replicas: dict[int, int], node: int) -> int:
    """By trying every way to fill the next node: small cases only."""
    sizes = sorted(replicas)

    @cache
    def least(left: tuple[int, ...]) -> int:
        if not any(left):
            return 0
        return 1 + min(least(rest) for rest in fillings(left))

    def fillings(left: tuple[int, ...]) -> set[tuple[int, ...]]:
        found = set()

        def fill(index: int, room: int, rest: tuple[int, ...]) -> None:
            if index == len(sizes):
                if rest != left:
                    found.add(rest)
                return
            for taken in range(min(room // sizes[index], left[index]) + 1):
                after = (*rest[:index], left[index] - taken, *rest[index + 1 :])
                fill(index + 1, room - taken * sizes[index], after)

        fill(0, node, left)
        return found

    return least(tuple(replicas[size] for size in sizes))


small = st.dictionaries(st.integers(1, 8), st.integers(0, 4), min_size=1, max_size=4)


@given(small)
@example({3: 4, 5: 3, 2: 2})
@example({7: 1, 6: 1, 3: 3, 2: 4})
@example({4: 2, 3: 4, 2: 1})
def test_as_few_nodes_as_can_be(replicas):
    found = pack_nodes(replicas, 8)
    assert found.nodes == least_by_search(replicas, 8)
    assert found.optimal


@given(st.dictionaries(st.integers(1, 8), st.integers(0, 500), min_size=1, max_size=5))
def test_every_replica_is_on_a_node_once_and_none_is_overfull(replicas):
    found = pack_nodes(replicas, 8)
    placed = dict.fromkeys(found.sizes, 0)
    for pattern, nodes in found.patterns:
        assert sum(size * count for size, count in zip(found.sizes, pattern, strict=True)) <= 8
        for size, count in zip(found.sizes, pattern, strict=True):
            placed[size] += count * nodes
    assert placed == {size: count for size, count in replicas.items() if count}
    used = sum(size * count for size, count in replicas.items())
    assert found.idle_gpus == 8 * found.nodes - used
    assert found.lower_bound <= found.nodes


@pytest.mark.parametrize(
    ("replicas", "nodes", "idle"),
    [
        ({1: 3, 2: 5, 4: 7, 8: 2}, 8, 7),  # powers of two fill nodes whole: 57 GPUs on 8 nodes of 8
        ({3: 4}, 2, 4),  # two of three, and two idle, on each
        ({5: 4}, 4, 12),  # none beside another
        ({5: 4, 3: 4}, 4, 0),  # together they fill the nodes
        ({6: 10_000}, 10_000, 20_000),
        ({}, 0, 0),
    ],
)
def test_known_packings(replicas, nodes, idle):
    found = pack_nodes(replicas, 8)
    assert (found.nodes, found.idle_gpus, found.optimal) == (nodes, idle, True)


def test_a_replica_larger_than_a_node_is_refused():
    with pytest.raises(InvalidInput, match="a replica of 16 GPUs is not on one node of 8"):
        pack_nodes({16: 1}, 8)


@pytest.mark.parametrize(
    ("gpu", "replicas", "told"),
    [
        ({"perReplica": 2}, 5, "2 of 8 GPUs; 6 GPUs free for others"),
        ({"perReplica": 3}, 4, "2 of 8 GPUs; 4 GPUs idle beside replicas, too few for another"),
        ({"perReplica": 16, "nodesPerReplica": 2}, 3, "6 of 8 GPUs, whole nodes for each replica"),
        (
            {"perReplica": 12, "nodesPerReplica": 2},
            3,
            "6 of 8 GPUs, whole nodes for each replica, 12 GPUs of which stay idle",
        ),
    ],
)
def test_nodes_of_one_service(gpu, replicas, told):
    found = node_count(Gpu.model_validate({"type": "H100-SXM5-80GB", **gpu}), replicas)
    assert found is not None
    assert found.told() == told


def test_nodes_are_not_known_of_a_gpu_that_nobody_knows():
    assert node_count(Gpu.model_validate({"type": "A10G-24GB"}), 3) is None
    assert node_count(Gpu.model_validate({"type": "H100-SXM5-80GB", "perReplica": 16}), 3) is None
