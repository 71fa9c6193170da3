"""docs/custom-resources.md: every field of the custom resources, from their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Schema = dict[str, Any]

_HEAD = """\
# Custom resources

<!-- Made from the code by `make crds` (scripts/custom_resources.py); do not edit. -->

Both are of `replicast.dev/v1alpha1` and namespaced; a policy, its target and its profile are in one namespace.
`kubectl apply -k deploy` installs them with the controller; samples of both are in `deploy/samples`.
`kubectl get cpol` lists policies with what was decided, `kubectl get eprof` profiles, `kubectl get replicast` both;
`kubectl explain capacitypolicy.spec` tells what follows here. An asterisk marks fields that must be given.
The API server refuses what breaks a bound or a rule and says which.
"""


def reference(definitions: Sequence[Schema]) -> str:
    """The whole document."""
    return "\n".join([_HEAD, *(line for each in definitions for line in _kind(each))]) + "\n"


def _kind(definition: Schema) -> Iterator[str]:
    names, (version,) = definition["spec"]["names"], definition["spec"]["versions"]
    whole = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']} (`{names['shortNames'][0]}`)\n"
    yield f"{whole['description']}\n"
    for part in ("spec", "status"):
        if part in whole["properties"]:
            schema = whole["properties"][part]
            yield "| field | form | default | meaning |\n| --- | --- | --- | --- |"
            yield from _rows(part, schema, required=False)
            yield from _rules(part, schema)
            yield ""


def _rows(path: str, schema: Schema, *, required: bool) -> Iterator[str]:
    default = schema.get("default")
    shown = "" if default is None or default == {} else f"`{_plain(default)}`"
    meaning = schema.get("description", "").replace("|", "\\|")
    star = r" \*" if required else ""
    yield f"| `{path}`{star} | {_form(schema)} | {shown} | {meaning} |"
    inner = schema
    while inner.get("type") == "array":
        inner, path = inner["items"], f"{path}[]"
    for name, each in inner.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", each, required=name in inner.get("required", ()))


def _form(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_form(schema['items'])}"
    if schema["type"] == "object":
        return "labels" if "additionalProperties" in schema else "fields"
    low, high = schema.get("minimum"), schema.get("maximum")
    above = f"{'>' if schema.get('exclusiveMinimum') else '≥'} {low:g}" if low is not None else ""
    below = f"{'<' if schema.get('exclusiveMaximum') else '≤'} {high:g}" if high is not None else ""
    return " ".join([schema["type"], *filter(None, (above, below))])


def _rules(path: str, schema: Schema) -> Iterator[str]:
    told = list(dict.fromkeys(_messages(schema)))
    if told:
        yield f"\nRules on `{path}`:\n"
        yield from (f"- {each}" for each in told)


def _messages(schema: Schema) -> Iterator[str]:
    yield from (each["message"] for each in schema.get("x-kubernetes-validations", ()))
    for each in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _messages(each)


def _plain(value: Any) -> str:
    """A value as YAML has it in one line."""
    import yaml

    return (
        str(yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)).removesuffix("...\n").strip()
    )
