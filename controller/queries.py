"""The questions of one tick: as many as there are kinds of engines, however many policies there are.

Policies whose series carry the same labels make a group, whose numbers are summed up by those labels: every policy of
it has a row of its own in the answer. The groups of a kind of engine are asked for in one query, so that what is known
of a target is of one moment. Each row says in a label of its own what it means. Groups are few, and namespaces choose
them in turn: whoever names series in a hundred ways is left with some of them, and takes none from the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.capacity_policy import MetricsSource
from controller.meanings import Asked, EngineQuestions, Meaning, arrivals_asked
from models.errors import InvalidInput
from planner.engine_metrics import BY_ENGINE
from planner.promql import chosen, matcher

MEANING = "replicast_meaning"
"""The label of an answer's rows: number of the group and meaning, as in `0/running`."""
WINDOW_S = 60
MAX_QUERIES = 10
GROUPS_PER_QUERY = 6
"""Each is about 5 kB."""
FOR_BUCKETS = 1
"""Of the queries, left for how lengths are spread."""
GROUPS_OF_A_NAMESPACE = 12
"""That one namespace may ask for: a hundred ways to name series blind nobody else."""
MAX_ALTERNATIVES = 400
"""Characters. Values of a label are named in a query where they are no longer than this; else it is not chosen by them:
a server that is shared looks up a few names quickly, and a list of all of them is no longer a choice."""

MAX_NAMED = 20_000


@dataclass(frozen=True, kw_only=True)
class SeriesOf:
    """Whose metrics are asked for."""

    policy: str
    """`namespace/name`."""
    engine: str
    """Of its profile."""
    source: MetricsSource


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a policy's numbers are: in which answer, in which group, under which values of the group's labels."""

    query: int
    group: int
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question."""

    text: str
    labels: tuple[tuple[str, ...], ...]
    """Of each group, in the order of a place's values."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All questions of a tick, and where each policy finds its answers."""

    window_s: int
    """Of rates and means."""
    queries: tuple[Query, ...] = ()
    engines: Mapping[str, Place] = field(default_factory=dict)
    arrivals: Mapping[str, Place] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    """Policies whose series cannot be asked for, and why."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Policies whose rows come from the same expressions; `kind` is an engine, or empty for counters before engines."""

    kind: str
    metric: str
    labels: tuple[str, ...]
    members: tuple[tuple[str, Mapping[str, str]], ...]
    beyond: bool = False
    """Whether every namespace that has it has chosen as many others as it may."""
    shared: bool = False
    """Whether it is of several namespaces: what only one of them asks for is not to spoil the query of all."""

    def asked(self, window_s: int) -> Asked:
        matchers = tuple(self._matchers(MAX_ALTERNATIVES))
        if not self.kind:
            return arrivals_asked(self.metric, self.labels, matchers, window_s)
        metrics = BY_ENGINE[self.kind]
        return EngineQuestions(metrics=metrics, by=self.labels, matchers=matchers, window_s=window_s).all()

    def buckets(self, window_s: int) -> Asked:
        """Its members are few, and named whatever that takes: a bucket has many more series than they."""
        matchers = tuple(self._matchers(MAX_NAMED))
        metrics, by = BY_ENGINE[self.kind], (*self.labels, "le")
        return EngineQuestions(metrics=metrics, by=by, matchers=matchers, window_s=window_s).buckets()

    def _matchers(self, most: int) -> Iterator[str]:
        for name in self.labels:
            values = sorted({labels[name] for _, labels in self.members})
            written = sum(len(value) + 1 for value in values) <= most
            yield matcher(name, values) if written or len(values) == 1 else f'{name}!=""'

    def values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels[name] for name in self.labels)


def plan_queries(policies: Iterable[SeriesOf], *, window_s: int = WINDOW_S) -> Plan:
    """The questions, with rates and means over a window of several scrapes.

    A policy whose labels mean nothing is told of, and spoils no other's.
    """
    asked: list[SeriesOf] = []
    problems: dict[str, str] = {}
    for policy in policies:
        try:
            _require_meant(policy)
        except InvalidInput as problem:
            problems[policy.policy] = f"spec.metrics: {problem}"
        else:
            asked.append(policy)
    chunks, left = _chunks(_in_turn(_groups(asked)), MAX_QUERIES - FOR_BUCKETS)
    engines: dict[str, Place] = {}
    arrivals: dict[str, Place] = {}
    for index, groups in enumerate(chunks):
        for number, group in enumerate(groups):
            places = engines if group.kind else arrivals
            for name, labels in group.members:
                places[name] = Place(query=index, group=number, values=group.values(labels))
    problems |= _too_many(left)
    queries = tuple(_query(groups, [group.asked(window_s) for group in groups]) for groups in chunks)
    return Plan(window_s=window_s, queries=queries, engines=engines, arrivals=arrivals, problems=problems)


def plan_buckets(policies: Iterable[SeriesOf], *, window_s: int, most: int) -> Plan:
    """The questions for how lengths are spread, at most so many, of policies that `plan_queries` asks for."""
    found = [group for group in _groups(tuple(policies)) if group.kind and any(group.buckets(window_s))]
    groups = _in_turn(found)
    chunks, left = _chunks(groups, most)
    engines: dict[str, Place] = {}
    for index, chunk in enumerate(chunks):
        for number, group in enumerate(chunk):
            engines.update(
                (name, Place(query=index, group=number, values=group.values(labels))) for name, labels in group.members
            )
    queries = tuple(_query(chunk, [group.buckets(window_s) for group in chunk]) for chunk in chunks)
    return Plan(window_s=window_s, queries=queries, engines=engines, problems=_too_many(left))


def _require_meant(policy: SeriesOf) -> None:
    if policy.engine not in BY_ENGINE:
        raise InvalidInput(f"no metrics are known of the engine {policy.engine[:80]!r}")
    counter = policy.source.arrivals
    for labels in (policy.source.match_labels, counter.match_labels if counter else {}):
        for name, value in labels.items():
            matcher(name, [value])
            if name == MEANING:
                raise InvalidInput(f"{name} is a label of our own")
    if counter is not None:
        chosen([counter.metric], [])


def _groups(policies: Sequence[SeriesOf]) -> list[_Group]:
    found: dict[tuple[str, str, tuple[str, ...]], list[tuple[str, Mapping[str, str]]]] = defaultdict(list)
    for policy in policies:
        labels, counter = policy.source.match_labels, policy.source.arrivals
        found[policy.engine, "", tuple(sorted(labels))].append((policy.policy, labels))
        if counter is not None:
            labels = counter.match_labels
            found["", counter.metric, tuple(sorted(labels))].append((policy.policy, labels))
    groups = [
        _Group(kind=kind, metric=metric, labels=labels, members=tuple(members))
        for (kind, metric, labels), members in found.items()
    ]
    return sorted(groups, key=lambda group: (-len(group.members), group.kind, group.metric, group.labels))


def _in_turn(groups: Sequence[_Group]) -> list[_Group]:
    """The groups in the order in which namespaces choose them, one each in turn, those of most policies first.

    What many namespaces want is chosen by the first of them for all. Nobody has more than its part.
    """
    wanted: dict[str, list[_Group]] = defaultdict(list)
    common: dict[int, int] = {}
    for group in groups:
        counts = Counter(namespace_of(name) for name, _ in group.members)
        common[id(group)] = len(counts)
        for namespace in counts:
            wanted[namespace].append(group)
    for namespace, each in wanted.items():
        each.sort(key=lambda group: -_members_in(namespace, group))
        del each[GROUPS_OF_A_NAMESPACE:]
    found: dict[int, _Group] = {}
    for turn in range(GROUPS_OF_A_NAMESPACE):
        chosen = [(space, each[turn]) for space, each in sorted(wanted.items()) if turn < len(each)]
        for _, group in sorted(chosen, key=lambda each: -common[id(each[1])]):
            found[id(group)] = group
    left = [group for group in groups if id(group) not in found]
    chosen_ones = [replace(group, shared=common[id(group)] > 1) for group in found.values()]
    return [*chosen_ones, *(replace(group, beyond=True) for group in left)]


def namespace_of(policy: str) -> str:
    """Of `namespace/name`."""
    return policy.partition("/")[0]


def _members_in(namespace: str, group: _Group) -> int:
    return sum(namespace_of(name) == namespace for name, _ in group.members)


def _chunks(groups: Sequence[_Group], most: int) -> tuple[list[list[_Group]], list[_Group]]:
    """Groups by query, the first of them first, and those that are too many: of one kind, as long as there is room."""
    chunks: list[list[_Group]] = []
    left = []
    for group in groups:
        room = [each for each in chunks if len(each) < GROUPS_PER_QUERY]
        alike = [each for each in room if (each[0].kind, each[0].shared) == (group.kind, group.shared)]
        if group.beyond:
            left.append(group)
        elif alike:
            alike[0].append(group)
        elif len(chunks) < most:
            chunks.append([group])
        elif room:
            room[0].append(group)
        else:
            left.append(group)
    return chunks, left


def _too_many(left: Sequence[_Group]) -> dict[str, str]:
    """Policies that are not asked for, and why."""
    return {
        name: f"spec.metrics: the policies of namespace {namespace_of(name)} name their series by too many different "
        f"sets of labels, of which at most {GROUPS_OF_A_NAMESPACE} are asked for; name them alike"
        if group.beyond
        else f"spec.metrics: policies name their series by too many different sets of labels for {MAX_QUERIES} "
        "queries; name them alike"
        for group in left
        for name, _ in group.members
    }


def _query(groups: Sequence[_Group], asked: Sequence[Asked]) -> Query:
    parts = [_told("vector(time())", f"0/{Meaning.NOW}")]
    for number, expressions in enumerate(asked):
        parts += [_told(expression, f"{number}/{meaning}") for meaning, expression in expressions]
    return Query(text=_one_of(parts), labels=tuple(group.labels for group in groups))


def _told(expression: str, what: str) -> str:
    return f'label_replace({expression}, "{MEANING}", "{what}", "", "")'


def _one_of(parts: Sequence[str]) -> str:
    """All rows of all parts, as a tree: `a or b or c or …` goes through the rows of `a` once for each of the rest."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_one_of(parts[:middle])}\nor {_one_of(parts[middle:])})"
