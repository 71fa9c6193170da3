"""What Prometheus is asked in a tick: few questions, whatever the number of policies and whatever their labels hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.capacity_policy import MetricsSource
from controller.queries import GROUPS_PER_QUERY, MAX_QUERIES, Place, SeriesOf, plan_buckets, plan_queries

GOLDEN = Path(__file__).parents[1] / "golden"


def series_of(policy: str, engine: str = "vllm", arrivals: dict | None = None, **labels: str) -> SeriesOf:
    source = {"matchLabels": labels, **({"arrivals": arrivals} if arrivals else {})}
    return SeriesOf(policy=policy, engine=engine, source=MetricsSource.model_validate(source))


def unread(policy: str, namespace: str) -> SeriesOf:
    """With a value that no policy's fields have bounded."""
    source = MetricsSource.model_construct(match_labels={"namespace": namespace}, arrivals=None)
    return SeriesOf(policy=policy, engine="vllm", source=source)


def fleet(count: int) -> list[SeriesOf]:
    """Policies of three engines in fifty namespaces, named in two ways, every tenth with a counter of the gateway."""
    gateway = {"metric": "gateway_requests_total", "matchLabels": {"route": "r"}}
    policies = []
    for index in range(count):
        engine = ("vllm", "triton", "triton-trtllm")[index % 3]
        labels = {"namespace": f"team-{index % 50}", "model_name" if engine == "vllm" else "model": f"m{index}"}
        if index % 7 == 0:
            labels["cluster"] = "east"
        policies.append(series_of(f"ns/p{index}", engine, gateway if index % 10 == 0 else None, **labels))
    return policies


@pytest.mark.parametrize("engine", ["vllm", "triton", "triton-trtllm"])
def test_the_questions_of_one_policy(engine):
    name = "model_name" if engine == "vllm" else "model"
    (query,) = plan_queries([series_of("serving/chat", engine, namespace="serving", **{name: "llama"})]).queries
    assert query.text + "\n" == (GOLDEN / f"queries-{engine}.promql").read_text(encoding="utf-8")


def test_a_thousand_policies_ask_few_questions(capsys):
    plan = plan_queries(fleet(1000))
    with capsys.disabled():
        sizes = ", ".join(f"{len(query.text) / 1000:.1f}" for query in plan.queries)
        print(f"\n1,000 policies of 3 engines: {len(plan.queries)} queries of {sizes} kB")  # noqa: T201
    assert len(plan.queries) == 4 <= MAX_QUERIES
    assert len(plan.engines) == 1000
    assert len(plan.arrivals) == 100
    assert plan.problems == {}
    assert len({(place.query, place.group, place.values) for place in plan.engines.values()}) == 1000


def test_values_are_named_while_they_are_few():
    one, few, many = (plan_queries([series_of(f"p{i}", namespace=f"team-{i}") for i in range(n)]) for n in (1, 3, 900))
    assert ',namespace="team-0"}' in one.queries[0].text
    assert ',namespace=~"team-0|team-1|team-2"}' in few.queries[0].text
    assert ',namespace!=""}' in many.queries[0].text
    assert many.engines["p899"] == Place(query=0, group=0, values=("team-899",))


def odd(namespace: str, ways: int, each: int = 1) -> list[SeriesOf]:
    """Policies that name their series in many ways."""
    return [
        series_of(f"{namespace}/{way}-{i}", namespace=f"x{i}", **{f"label_{way}": "y"})
        for way in range(ways)
        for i in range(each)
    ]


def test_one_namespace_with_label_sets_without_end_blinds_no_other():
    others = [
        series_of(f"team-{i}/{j}", namespace=f"team-{i}", model_name="m", **({f"own_{i}": "z"} if j else {}))
        for i in range(20)
        for j in range(2)
    ]
    greedy = odd("greedy", 62, 4)
    plan = plan_queries([*greedy, *others])
    assert {each.policy for each in others} <= set(plan.engines)
    assert set(plan.problems) < {each.policy for each in greedy}
    assert sum(len(query.labels) for query in plan.queries) == 12 + 20 + 1
    assert len(plan.queries) <= MAX_QUERIES - 1
    told = next(iter(plan.problems.values()))
    assert "the policies of namespace greedy name their series by too many different sets of labels" in told
    assert "at most 12 are asked for" in told


def test_where_all_namespaces_are_greedy_each_has_its_part_and_what_they_share_is_asked_for():
    plan = plan_queries([*(each for i in range(40) for each in odd(f"ns-{i}", 62)), *fleet(40)])
    own = [each for i in range(40) for each in [series_of(f"ns-{i}/own", namespace="x", **{f"own_{i}": "y"})]]
    crowded = plan_queries([*own, *(each for i in range(5) for each in odd(f"greedy-{i}", 30, 9)), *fleet(40)])
    for found in (plan, crowded):
        assert all(f"ns/p{index}" in found.engines for index in range(40))
        assert len(found.queries) <= MAX_QUERIES - 1
        assert all(len(query.labels) <= GROUPS_PER_QUERY for query in found.queries)
    assert all(each.policy in crowded.engines for each in own)


def test_what_one_namespace_alone_asks_for_is_not_in_the_query_of_all():
    shared = [series_of(f"{space}/a", namespace=space, model_name="m") for space in ("one", "two")]
    alone = series_of("three/a", pod="p")
    plan = plan_queries([*shared, alone])
    assert plan.engines["one/a"].query == plan.engines["two/a"].query != plan.engines["three/a"].query


def test_spreads_are_asked_of_everybody_in_the_end():
    plan = plan_buckets([*odd("greedy", 20), series_of("ns/a", namespace="a")], window_s=600, most=1)
    assert "ns/a" in plan.engines
    assert len(plan.queries) == 1
    assert len(plan.problems) == 15


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("__name__", "cannot choose series"),
        ("le", "cannot choose series"),
        ("replicast_meaning", "a label of our own"),
    ],
)
def test_a_label_that_chooses_nothing_spoils_no_other_policy(name, said):
    good = series_of("ns/good", namespace="serving")
    plan = plan_queries([series_of("ns/bad", **{name: "x"}), good])
    assert said in plan.problems["ns/bad"]
    assert "spec.metrics" in plan.problems["ns/bad"]
    assert plan.queries == plan_queries([good]).queries


def test_an_engine_without_known_metrics_and_a_value_that_is_not_text():
    plan = plan_queries([series_of("a", "sglang", model="m"), unread("b", "\ud800")])
    assert "no metrics are known of the engine 'sglang'" in plan.problems["a"]
    assert "is not text" in plan.problems["b"]


HOSTILE = ['a"b', "a\\", '"} or vector(1) #', "a\nb", ".*", "a|b", "(", "[", "$1", "${1}", "é ✓", " ", "\x00", "`"]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(HOSTILE),
        min_size=1,
        max_size=4,
    )
)
def test_a_value_stays_within_its_quotes(values):
    """Without strings, the text is that of harmless values: nothing of a value is ever read as PromQL."""
    asked = plan_queries([unread(f"p{i}", value) for i, value in enumerate(values)])
    harmless = plan_queries([series_of(f"p{i}", namespace=f"v{values.index(value)}") for i, value in enumerate(values)])
    assert without_strings(asked.queries[0].text) == without_strings(harmless.queries[0].text)


def without_strings(text: str) -> str:
    """As a reader of PromQL sees it: a string ends at the first quote that no backslash escapes."""
    left, inside, escaped = [], False, False
    for character in text:
        if not inside:
            left.append(character)
        if inside and escaped:
            escaped = False
        elif inside and character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
        else:
            assert not (inside and character == "\n"), "a string of PromQL ends with its line"
    return "".join(left)
