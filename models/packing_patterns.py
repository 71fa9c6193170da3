"""Every pattern that may stand on one GPU, where they are few enough to write down."""

from __future__ import annotations

from collections.abc import Iterator

from models.packing import Key, PackingProblem, Pattern, fits


def every_pattern(problem: PackingProblem, *, most: int) -> tuple[Pattern, ...] | None:
    """All patterns to which nothing can be added; None where more than `most` additions have to be looked at.

    A pattern has one option of a model at most, for a model takes one. Those that others contain are not needed: what
    is on a GPU and not wanted is left out of it.
    """
    found: list[Pattern] = []
    looked = 0
    for kind, gpu in enumerate(problem.kinds):
        for sliced in (False, True) if gpu.mig is not None else (False,):
            keys = _keys(problem, kind, sliced=sliced)
            for pattern, full in _grown(problem, Pattern(kind=kind, counts={}, sliced=sliced), keys, 0):
                looked += len(keys)
                if looked > most:
                    return None
                if full:
                    found.append(pattern)
    return tuple(found)


def _keys(problem: PackingProblem, kind: int, *, sliced: bool) -> list[Key]:
    return [
        (m, o)
        for m, model in enumerate(problem.models)
        for o, option in enumerate(model.options)
        if option.kind == kind and (option.slice is not None) is sliced and option.gpus * option.nodes == 1
    ]


def _grown(problem: PackingProblem, pattern: Pattern, keys: list[Key], first: int) -> Iterator[tuple[Pattern, bool]]:
    """Every pattern from this one on, by adding keys in their order; and whether nothing can be added to it."""
    more = [(at, _with(problem, pattern, key)) for at, key in enumerate(keys)]
    if pattern.counts:
        yield pattern, not any(each for _, each in more)
    for at, each in more[first:]:
        if each is not None:
            yield from _grown(problem, each, keys, at)


def _with(problem: PackingProblem, pattern: Pattern, key: Key) -> Pattern | None:
    """With one replica more; None where it is not wanted or does not fit."""
    count = pattern.counts.get(key, 0) + 1
    if count > problem.models[key[0]].options[key[1]].replicas:
        return None
    if any(m == key[0] and o != key[1] for m, o in pattern.counts):
        return None
    grown = Pattern(kind=pattern.kind, counts={**pattern.counts, key: count}, sliced=pattern.sliced)
    return grown if fits(problem, grown) else None
