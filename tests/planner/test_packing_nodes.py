"""Places on nodes against brute force: wherever there are some they are found, and they hold."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.packing_nodes import Piece, assigned

PIECES = st.builds(Piece, gpus=st.integers(1, 3), apart=st.frozensets(st.integers(0, 2), max_size=2))


def holds(sizes: list[int], pieces: list[Piece], nodes: tuple[int, ...]) -> bool:
    for node, size in enumerate(sizes):
        here = [piece for piece, at in zip(pieces, nodes, strict=True) if at == node]
        apart = [model for piece in here for model in piece.apart]
        if sum(piece.gpus for piece in here) > size or len(apart) != len(set(apart)):
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_places_are_found_wherever_there_are_some(sizes: list[int], pieces: list[Piece]) -> None:
    found = assigned(sizes, pieces)
    if found is not None:
        assert holds(sizes, pieces, tuple(found))
    else:
        every = itertools.product(range(len(sizes)), repeat=len(pieces))
        assert not any(holds(sizes, pieces, nodes) for nodes in every)
