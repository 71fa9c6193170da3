"""A pydantic type as a structural OpenAPI v3 schema, as custom resource definitions want it.

Kubernetes takes no `$ref`, no union but integer-or-string, no `null` beside another type, `exclusiveMinimum` as a flag
(Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", Specifying a structural schema).
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from controller.admission_rules import Place, Rule

Schema = dict[str, Any]
Rules = Mapping[Place, tuple[Rule, ...]]

_KEPT = (
    "enum", "format", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems",
    "minProperties", "maxProperties", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
)  # fmt: skip
_MOST_INT32 = 2**31 - 1


def structural_schema(model: type[BaseModel], rules: Rules) -> Schema:
    """The schema with descriptions, defaults and validation rules. Raises ValueError for what has no such form."""
    return _Conversion(model, rules).schema


class _Conversion:
    """One type with all that it holds."""

    def __init__(self, model: type[BaseModel], rules: Rules) -> None:
        document = model.model_json_schema(by_alias=True)
        self._definitions: Mapping[str, Schema] = document.get("$defs", {})
        self._said = {each.__name__: _field_docstrings(each) for each in _models_in(model)}
        self._rules = rules
        self.schema = self._node(document, model.__name__, ())

    def _node(self, given: Schema, name: str, rules: tuple[Rule, ...]) -> Schema:
        given, name = self._resolved(given, name)
        made: Schema = {}
        if "description" in given:
            made["description"] = " ".join(given["description"].split())
        options = {each.get("type") for each in given.get("anyOf", ())}
        if options == {"integer", "string"}:
            made |= _integer_or_string(given["anyOf"])
        elif options:
            raise ValueError(f"{name}: a union of {', '.join(map(str, options))} is not structural")
        else:
            made |= self._typed(given, name)
        if given.get("default") is not None:
            made["default"] = _least(given["default"], made)
        standing = (*rules, *self._rules.get(Place(type=name), ())) if "properties" in given else rules
        if standing:
            made["x-kubernetes-validations"] = [{"rule": each.rule, "message": each.message} for each in standing]
        return made

    def _resolved(self, given: Schema, name: str) -> tuple[Schema, str]:
        """References replaced by what they mean, and a union with null by the other side."""
        if "anyOf" in given:
            rest = [each for each in given["anyOf"] if each.get("type") != "null"]
            beside = {key: value for key, value in given.items() if key != "anyOf"}
            if len(rest) == 1:
                return self._resolved({**rest[0], **beside}, name)
            return {**beside, "anyOf": rest}, name
        if "$ref" in given:
            name = str(given["$ref"]).rpartition("/")[2]
            beside = {key: value for key, value in given.items() if key != "$ref"}
            return {**self._definitions[name], **beside}, name
        return given, name

    def _typed(self, given: Schema, name: str) -> Schema:
        made: Schema = {"type": given["type"]}
        if "const" in given:
            made["enum"] = [given["const"]]
        if given["type"] == "integer":
            made["format"] = "int32" if given.get("maximum", _MOST_INT32 + 1) <= _MOST_INT32 else "int64"
        for end in ("Minimum", "Maximum"):
            if f"exclusive{end}" in given:
                made |= {end.lower(): _whole(given[f"exclusive{end}"]), f"exclusive{end}": True}
        made |= {key: _whole(given[key]) for key in _KEPT if key in given}
        if "items" in given:
            made["items"] = self._node(given["items"], name, ())
        if "properties" in given:
            made["properties"] = {key: self._property(each, name, key) for key, each in given["properties"].items()}
        elif given["type"] == "object":
            (values,) = given.get("patternProperties", {"": given.get("additionalProperties")}).values()
            made["additionalProperties"] = self._node(values, name, ())
        return made

    def _property(self, given: Schema, owner: str, field: str) -> Schema:
        made = self._node(given, owner, self._rules.get(Place(type=owner, field=field), ()))
        said = self._said[owner].get(field)
        if said:
            made = {"description": said, **{key: value for key, value in made.items() if key != "description"}}
        of_items = self._rules.get(Place(type=owner, field=f"{field}[]"), ())
        if of_items:
            made["items"]["x-kubernetes-validations"] = [
                {"rule": each.rule, "message": each.message} for each in of_items
            ]
        return made


def _integer_or_string(options: list[Schema]) -> Schema:
    """Only its validation rule tells what it may be; the length is for the rule's cost."""
    longest = max(len(each["const"]) for each in options if "const" in each)
    return {"x-kubernetes-int-or-string": True, "maxLength": longest}


def _least(default: Any, schema: Schema) -> Any:
    """A default without what the defaults within it say already: the API server fills those in too."""
    if not isinstance(default, dict):
        return default
    within = schema["properties"]
    return {
        key: kept
        for key, value in default.items()
        if value is not None and (kept := _least(value, within[key])) != within[key].get("default")
    }


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    """Every type of fields within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = [_models_in(field.annotation) for field in annotation.model_fields.values()]
        return {annotation}.union(*inner)
    return set().union(*(_models_in(each) for each in getattr(annotation, "__args__", ())))


def _field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands under the fields of a type, and of those it extends, by their names in files."""
    said: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    said[str(model.model_fields[name].alias)] = " ".join(words.split())
    return said
