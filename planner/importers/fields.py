"""Fields of a parsed file, each of which knows its place, so that a complaint names file and field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from models.errors import InvalidInput
from planner.importers.figures import figure

MAX_WORDS = 200
IMPOSSIBLE = "the figure cannot be: look at the tool's own output, and measure again"


@dataclass(frozen=True, kw_only=True)
class Fields:
    """A mapping in a file: `place` is the file, `path` the field that holds it."""

    values: dict[str, Any]
    place: str
    path: str = ""

    def where(self, name: str) -> str:
        """File and field, in words."""
        return f"{self.place}, {self.path}{name}"

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return self.values.get(name) is not None

    def number(self, name: str) -> float:
        """A finite number; raises where it is absent."""
        if not self.has(name):
            raise InvalidInput(f"{self.where(name)} is missing", remedy="is the file whole, and of this tool?")
        return figure(self.values[name], self.where(name))

    def maybe(self, name: str) -> float | None:
        """A finite number, or None where it is absent."""
        return self.number(name) if self.has(name) else None

    def count(self, name: str) -> int | None:
        """A whole number of things, or None."""
        value = self.maybe(name)
        if value is not None and (value < 0 or value != int(value)):
            raise InvalidInput(f"{self.where(name)}: a count is expected, not {value:g}", remedy="run the tool again")
        return None if value is None else int(value)

    def words(self, name: str) -> str | None:
        """A short text, or None."""
        value = self.values.get(name)
        return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= MAX_WORDS else None

    def inner(self, *names: str) -> Fields:
        """The mapping inside; an empty one where it is absent. Raises where something else stands there."""
        here = self
        for name in names:
            value = here.values.get(name)
            if value is not None and not isinstance(value, dict):
                raise InvalidInput(f"{here.where(name)} should hold fields", remedy="is the file of this tool?")
            here = Fields(values=value or {}, place=here.place, path=f"{here.path}{name}.")
        return here

    def items(self, name: str) -> tuple[Fields, ...]:
        """A list of mappings; none where it is absent."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise InvalidInput(f"{self.where(name)} should be a list", remedy="is the file of this tool?")
        return tuple(self.item(name, i, each) for i, each in enumerate(value))

    def item(self, name: str, index: int, value: Any) -> Fields:
        """One of a list."""
        path = f"{self.path}{name}[{index}]"
        if not isinstance(value, dict):
            raise InvalidInput(f"{self.place}, {path} should hold fields", remedy="is the file of this tool?")
        return Fields(values=value, place=self.place, path=f"{path}.")


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Put the place before what is wrong with figures that came from it."""
    try:
        yield
    except InvalidInput as error:
        text = str(error)
        raise InvalidInput(
            text if text.startswith(place) else f"{place}: {text}", remedy=error.remedy or IMPOSSIBLE
        ) from None
