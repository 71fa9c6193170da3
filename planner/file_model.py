"""What profile and fleet files have in common: strict fields, and the first mistake in plain words with its place."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from models.errors import InvalidInput
from planner.files import line_of

_PLAIN = {
    "tuple_type": "should be a list",
    "too_short": "should not be empty",
    "model_type": "should hold fields",
    "dict_type": "should hold fields",
    "string_type": "should be text; a number stands in quotes",
    "string_too_short": "should not be empty",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "truth": "should not be true or false (yes, no, on and off mean these)",
}
"""Our words for kinds of mistake that the validator names in terms of Python."""


NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
FORM = "<"
"""Begins the tag of a form that a field may have; a tag is no field, and is left out of the field's name."""
_PATTERNS = {
    NAME_PATTERN: "should be lower-case letters, digits and hyphens, a letter or digit at both ends",
}
"""Our words for patterns."""


class FileModel(BaseModel):
    """Fields in camelCase as in Kubernetes; unknown ones are refused, and so are yes and no as numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False, str_strip_whitespace=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(_PLAIN["truth"])
        return value


def first_problem(error: ValidationError, model: type[FileModel], text: str, place: str) -> InvalidInput:
    """The mistake to mend first: an unknown field, which often explains a missing one, else the first."""
    found = error.errors(include_url=False, include_input=True)
    # A list whose items are all refused is also refused as too short.
    problems = [each for each in found if each["type"] != "too_short"] or found
    problems.sort(key=lambda each: each["type"] != "extra_forbidden")
    problem = problems[0]
    path = tuple(step for step in problem["loc"] if isinstance(step, int) or not step.startswith(FORM))
    line = line_of(text, path)
    where = place + (f", line {line}" if line else "")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    field = ".".join(f"[{step}]" if isinstance(step, int) else step for step in path).replace(".[", "[") or "the file"
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        return InvalidInput(
            f"{where}: unknown field {field}{more}", remedy=f"{hint}fields known here: {', '.join(known)}"
        )
    if problem["type"] == "missing":
        return InvalidInput(f"{where}: {field} is missing{more}", remedy="add it")
    said = (
        _PLAIN.get(problem["type"])
        or _PATTERNS.get(problem.get("ctx", {}).get("pattern", ""))
        or problem["msg"][:200].removeprefix("Value error, ").removeprefix("Input ")
    )
    got = "" if isinstance(problem["input"], dict | list) else f", got {_shown(problem['input'])}"
    return InvalidInput(f"{where}: {field} {said[0].lower()}{said[1:]}{got}{more}", remedy="mend that field")


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:60]


def _fields_at(model: type[FileModel], path: tuple[str | int, ...]) -> list[str]:
    part: Any = model
    for step in path:
        if isinstance(step, int):
            continue
        found = next((f for f in part.model_fields.values() if f.alias == step), None)
        part = _model_of(found.annotation) if found else None
        if part is None:
            return []
    return sorted(str(field.alias) for field in part.model_fields.values())


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found is not None:
            return found
    return None
