"""deploy/crds is what the types say: made from them, structural, with their defaults, and no more lenient."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controller.admission_rules import OBJECTIVE_FORM
from controller.capacity_policy import PolicySpec, parse_policy
from controller.snapshots import profile_of
from models.errors import InvalidInput
from models.objective import METRICS
from planner.objective import parse_objective
from planner.profile import Spec, catalogue_names, load_profile
from scripts.custom_resources import POLICY as POLICY_RESOURCE
from scripts.custom_resources import PROFILE as PROFILE_RESOURCE
from scripts.custom_resources import ROOT, definition, made_files
from tests.deploy.wrong_objects import POLICY, PROFILE, WRONG

POLICY_SCHEMA, PROFILE_SCHEMA = (
    definition(each)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for each in (POLICY_RESOURCE, PROFILE_RESOURCE)
)


MADE = made_files()


@pytest.mark.parametrize("place", MADE, ids=str)
def test_what_is_made_from_the_code_is_up_to_date(place):
    assert (ROOT / place).read_text(encoding="utf-8") == MADE[place], "run `make crds`"


def schemas(schema: dict[str, Any]):
    yield schema
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for each in inner:
        if each is not None:
            yield from schemas(each)


@pytest.mark.parametrize("schema", [POLICY_SCHEMA, PROFILE_SCHEMA], ids=["policy", "profile"])
def test_the_schema_is_structural_and_bounded(schema):
    for each in schemas(schema):
        assert not {"$ref", "anyOf", "oneOf", "propertyNames", "patternProperties", "title", "nullable"} & set(each)
        assert ("type" in each) != ("x-kubernetes-int-or-string" in each)
        if each.get("type") == "array":
            assert "maxItems" in each
        if each.get("additionalProperties"):
            assert "maxProperties" in each


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """As the API server fills them in: at each level what is absent, then what is within."""
    if isinstance(value, list):
        return [with_defaults(each, schema["items"]) for each in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    absent = {
        name: copy.deepcopy(each["default"])
        for name, each in schema["properties"].items()
        if "default" in each and name not in value
    }
    return {name: with_defaults(each, schema["properties"][name]) for name, each in {**value, **absent}.items()}


def as_the_code_has_it(model: Any, spec: dict[str, Any]) -> Any:
    return model.model_validate(spec).model_dump(mode="json", by_alias=True, exclude_none=True)


OFFICE = {"name": "office", "start": "08:00", "end": "18:00"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"workload": {"inputTokens": 512, "outputTokens": 128}},
        {"behavior": {"scaleDown": {"selectPolicy": "Min"}}},
        {"behavior": {"forecast": {"quantile": 0.9}}},
        {"bounds": {"max": 8, "schedules": [OFFICE]}},
    ],
)
def test_defaults_of_a_policy_are_the_code_s(more):
    spec = {**POLICY["spec"], **more}
    assert with_defaults(spec, POLICY_SCHEMA["properties"]["spec"]) == as_the_code_has_it(PolicySpec, spec)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"limits": {"maxNumSeqs": 64}, "provenance": [{"source": "ours"}]},
        {"measurements": [{"concurrency": 4, "inputTokens": 512, "outputTokens": 128, "ttft": {"p50": 0.1}}]},
        {"serviceTime": [{"batch": 1, "mean": 0.01}], "holdTime": [{"held": 1, "mean": 1.0}]},
    ],
)
def test_defaults_of_a_profile_are_the_code_s(more):
    spec = {**PROFILE["spec"], **more}
    assert with_defaults(spec, PROFILE_SCHEMA["properties"]["spec"]) == as_the_code_has_it(Spec, spec)


def test_a_shrinking_that_is_half_described_keeps_its_five_minutes():
    behavior = {"scaleDown": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}
    policy = parse_policy({**POLICY, "spec": {**POLICY["spec"], "behavior": behavior}})
    assert policy.spec.behavior.scale_down.stabilization_window_seconds == 300
    assert policy.spec.behavior.scale_up.stabilization_window_seconds == 0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_what_the_server_refuses_the_code_refuses(wrong):
    if wrong.base is POLICY:
        with pytest.raises(ValidationError):
            parse_policy(wrong.document)
    else:
        assert profile_of(wrong.document).problem


def test_the_bases_of_wrong_objects_are_right():
    parse_policy(POLICY)
    assert not profile_of({**PROFILE, "metadata": {"name": "llama", "namespace": "serving"}}).problem


NUMBERS = st.one_of(st.integers(0, 10**6).map(str), st.floats(1e-6, 1e6).map(lambda value: f"{value:.6g}"))
UNITS = st.sampled_from(["", "us", "µs", "ms", "s", "m", "min", "h", "d"])
DURATIONS = st.one_of(
    st.tuples(NUMBERS, st.sampled_from(["", " "]), UNITS).map("".join), st.sampled_from(["1m30s", "1d12h", "2s500ms"])
)
SPACES = st.sampled_from(["", " ", "  "])
STATISTICS = st.one_of(
    st.just("mean"), st.just("MEAN"), st.from_regex(r"[pP][0-9]{1,3}(\.[0-9]{1,6})?", fullmatch=True)
)
WRITTEN = st.tuples(
    SPACES, st.sampled_from([*METRICS, "TTFT", "latency"]), SPACES, st.just(":"), SPACES, STATISTICS, SPACES,
    st.sampled_from(["<=", "≤", "<", ">=", "="]), SPACES, DURATIONS, SPACES,
).map("".join)  # fmt: skip


@given(WRITTEN)
def test_the_server_takes_every_objective_that_the_code_understands(text):
    try:
        parse_objective(text)
    except InvalidInput:
        return
    assert re.search(OBJECTIVE_FORM, text)


@given(st.from_regex(OBJECTIVE_FORM, fullmatch=True))
def test_of_what_the_server_takes_the_code_minds_only_numbers_and_the_order_of_units(text):
    said = ""
    try:
        parse_objective(text)
    except InvalidInput as error:
        said = str(error)
    assert re.search(r"^$|out of range|is not a percentile|is not a duration|not a finite", said)


@pytest.mark.parametrize("name", catalogue_names()[::4])
def test_fields_of_the_catalogue_are_fields_of_the_definition(name):
    spec = load_profile(name).spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert with_defaults(spec, PROFILE_SCHEMA["properties"]["spec"]) == spec


def test_columns_lead_to_fields():
    for resource in (POLICY_RESOURCE, PROFILE_RESOURCE):
        (version,) = definition(resource)["spec"]["versions"]
        for column in version["additionalPrinterColumns"]:
            at = version["schema"]["openAPIV3Schema"]
            for step in re.findall(r"\.(\w+)", re.sub(r"\[.*?\]", "", column["jsonPath"])):
                at = at.get("items", at)
                if step == "metadata":
                    break
                at = at["properties"][step]
            else:
                assert at["type"] == column["type"]


def test_the_reference_tells_of_every_policy_field():
    text = (ROOT / "docs/custom-resources.md").read_text(encoding="utf-8")
    for field in ("spec.bounds.maxGPUs", "spec.behavior.forecast.horizon", "status.conditions[].lastTransitionTime"):
        assert f"`{field}`" in text


def test_definitions_are_plain_yaml():
    for place in (ROOT / "deploy/crds").iterdir():
        assert "&" not in re.sub(r"&&", "", place.read_text(encoding="utf-8"))
        assert yaml.safe_load(place.read_text(encoding="utf-8"))["kind"] == "CustomResourceDefinition"
