"""The packing programme against brute force on tiny questions: nothing cheaper exists, and what it answers holds."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.gpu_sharing import Interference
from models.mig_layouts import MigGpu, MigSlice
from models.packing import GpuKind, Option, PackedModel, PackingProblem, fits
from planner import packing_solver
from planner.packing_placement import PlacedGpu, placed
from planner.packing_solver import solve

SMALL = MigSlice(
    name="1g", compute_slices=1, memory_slices=1, starts=(0, 1, 2), instances=3, memory_bytes=6.0, compute=0.25
)
LARGE = MigSlice(
    name="2g", compute_slices=2, memory_slices=2, starts=(0, 2), instances=2, memory_bytes=12.0, compute=0.5
)
CUT = MigGpu(compute_slices=4, memory_slices=4, slices=(SMALL, LARGE))
"""A GPU of four slices; the last one is in reach of the large slice alone."""
STARTS = {"1g": (0, 1, 2), "2g": (0, 2)}


@st.composite
def options(draw: st.DrawFn, kinds: tuple[GpuKind, ...]) -> Option:
    kind = draw(st.integers(0, len(kinds) - 1))
    form = draw(st.sampled_from(["share", "share", "slice", "pair"]))
    replicas = draw(st.integers(1, 3))
    if form == "slice" and kinds[kind].mig is not None:
        name = draw(st.sampled_from(["1g", "2g"]))
        most = {"1g": 6.0, "2g": 12.0}[name]
        memory = float(draw(st.integers(1, int(most))))
        return Option(kind=kind, replicas=replicas, share=1.0, memory_bytes=memory * 2**20, slice=name)
    if form == "pair":
        return Option(kind=kind, replicas=1, share=1.0, memory_bytes=10.0 * 2**20, gpus=2)
    share = draw(st.integers(1, 50)) / 50
    return Option(kind=kind, replicas=replicas, share=share, memory_bytes=float(draw(st.integers(1, 24))) * 2**20)


@st.composite
def problems(draw: st.DrawFn) -> PackingProblem:
    slices = tuple(MigSlice(**{**vars(each), "memory_bytes": each.memory_bytes * 2**20}) for each in (SMALL, LARGE))
    cut = MigGpu(compute_slices=4, memory_slices=4, slices=slices)
    kinds = tuple(
        GpuKind(
            name=f"kind{index}",
            count=draw(st.integers(1, 3)),
            per_node=draw(st.integers(1, 2)),
            price=draw(st.sampled_from([1.0, 1.3, 2.5])),
            memory_bytes=24.0 * 2**20,
            interference=draw(
                st.sampled_from(
                    [Interference.flat(1.0), Interference.flat(1.2), Interference(slowdowns=(1.0, 1.1, 1.6))]
                )
            ),
            most_replicas=draw(st.integers(1, 4)),
            equal_turns=draw(st.booleans()),
            mig=draw(st.sampled_from([None, cut])),
        )
        for index in range(draw(st.integers(1, 2)))
    )
    names = range(draw(st.integers(1, 3)))
    pairs = draw(st.sets(st.sampled_from(list(itertools.combinations(range(3), 2))), max_size=1))
    return PackingProblem(
        kinds=kinds,
        models=tuple(
            PackedModel(
                name=f"model{m}",
                options=tuple(draw(st.lists(options(kinds), min_size=1, max_size=2))),
                spread=draw(st.booleans()),
                not_with=frozenset(
                    other for pair in pairs if m in pair for other in pair if other != m and other in names
                ),
            )
            for m in names
        ),
    )


def holds(problem: PackingProblem, chosen: tuple[Option, ...], kind: int, models: tuple[int, ...], cut: bool) -> bool:
    """Whether one replica of each of these models, some of them more than once, may stand on one GPU: by the rules."""
    gpu, own = problem.kinds[kind], [chosen[m] for m in models]
    if any(a in problem.models[b].not_with for a in models for b in models):
        return False
    if any(problem.models[m].spread and n > 1 for m, n in Counter(models).items()):
        return False
    if cut != all(option.slice is not None for option in own) or cut != any(o.slice is not None for o in own):
        return False
    if not cut:
        slowdown = gpu.interference.slowdown(len(own))
        if gpu.equal_turns and len(own) > 1 and any(o.share * slowdown > 1.0 / len(own) + 1e-9 for o in own):
            return False
        shares = sum(option.share for option in own) * slowdown
        memory = sum(option.memory_bytes for option in own)
        return len(own) <= gpu.most_replicas and shares <= 1.0 + 1e-9 and memory <= gpu.memory_bytes
    if gpu.mig is None or any(
        option.memory_bytes > next(s.memory_bytes for s in gpu.mig.slices if s.name == option.slice) for option in own
    ):
        return False
    return any(
        len(taken) == len(set(taken))
        for starts in itertools.product(*(STARTS[str(option.slice)] for option in own))
        for taken in [[s + i for s, o in zip(starts, own, strict=True) for i in range(int(str(o.slice)[0]))]]
    )


def ways_to_place(
    problem: PackingProblem, chosen: tuple[Option, ...], left: list[int], gpus: list[tuple[int, tuple[int, ...]]]
) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
    if not left:
        yield gpus
        return
    m, rest = left[0], left[1:]
    kind = chosen[m].kind
    for at, (k, on) in enumerate(gpus):
        if k == kind and holds(problem, chosen, kind, (*on, m), chosen[m].slice is not None):
            yield from ways_to_place(problem, chosen, rest, [*gpus[:at], (k, (*on, m)), *gpus[at + 1 :]])
    if holds(problem, chosen, kind, (m,), chosen[m].slice is not None):
        yield from ways_to_place(problem, chosen, rest, [*gpus, (kind, (m,))])


def brute_force(problem: PackingProblem) -> tuple[float, int] | None:
    """Least cost, then fewest GPUs, by trying everything."""
    best: tuple[float, int] | None = None
    for chosen in itertools.product(*(model.options for model in problem.models)):
        pairs = Counter(option.kind for option in chosen for _ in range(option.replicas) if option.gpus == 2)
        if any(n > problem.kinds[k].count // 2 or problem.kinds[k].per_node < 2 for k, n in pairs.items()):
            continue
        singles = [m for m, option in enumerate(chosen) for _ in range(option.replicas) if option.gpus == 1]
        for gpus in ways_to_place(problem, chosen, singles, []):
            used = Counter(k for k, _ in gpus)
            for k, n in pairs.items():
                used[k] += 2 * n
            if any(n > problem.kinds[k].count for k, n in used.items()):
                continue
            found = (round(sum(problem.kinds[k].price * n for k, n in used.items()), 6), sum(used.values()))
            best = found if best is None or found < best else best
    return best


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_priced_patterns_come_near_and_their_bound_is_below(problem: PackingProblem) -> None:
    expected = brute_force(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing_solver, "FEW", 0)
        found = solve(problem, time_limit_s=20.0, clock=time.monotonic)
    if found is None:
        return
    assert expected is not None
    assert found.bound - 1e-6 <= expected[0] <= found.cost + 1e-6
    assert not found.optimal or round(found.cost, 6) == expected[0]


@settings(max_examples=80, deadline=None)
@given(problem=problems())
def test_nothing_is_cheaper_and_the_bound_is_below(problem: PackingProblem) -> None:
    expected = brute_force(problem)
    found = solve(problem, time_limit_s=20.0, clock=time.monotonic)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (round(found.cost, 6), found.gpus) == expected
    assert found.bound <= expected[0] + 1e-6


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_what_is_answered_holds(problem: PackingProblem) -> None:
    found = solve(problem, time_limit_s=20.0, clock=time.monotonic)
    if found is None:
        return
    chosen = tuple(model.options[o] for model, o in zip(problem.models, found.chosen, strict=True))
    assert all(fits(problem, pattern) for pattern, _ in found.patterns)
    gpus = placed(problem, found)
    expect_whole(problem, chosen, gpus)
    for gpu in gpus:
        if gpu.replicas[0].group is None:
            assert holds(problem, chosen, gpu.kind, tuple(each.model for each in gpu.replicas), bool(gpu.slices))


def expect_whole(problem: PackingProblem, chosen: tuple[Option, ...], gpus: tuple[PlacedGpu, ...]) -> None:
    """Every replica is there once, and no more GPUs are used than there are."""
    parts = Counter(each.model for gpu in gpus for each in gpu.replicas)
    assert parts == {m: option.replicas * option.gpus for m, option in enumerate(chosen)}
    used = Counter(gpu.kind for gpu in gpus)
    assert all(n <= problem.kinds[kind].count for kind, n in used.items())
    assert len({(gpu.node, gpu.index) for gpu in gpus}) == len(gpus)
    groups: dict[tuple[int, int], set[str]] = {}
    for gpu in gpus:
        for each in gpu.replicas:
            if each.group is not None:
                groups.setdefault((each.model, each.group), set()).add(gpu.node)
    assert all(len(nodes) == 1 for nodes in groups.values())
