"""Formulas of a column: arithmetic over other columns of the same row, written `{used_gpu_h} / {allocated_gpu_h}`.

Numbers, `+ - * /` and brackets; what Python and every spreadsheet read alike. A figure is not known where one that it
comes from is not known, or where it would be divided by 0.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache

from planner.capacity_report.document import Cell

_REFERENCE = re.compile(r"\{(\w+)\}")
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def inputs_of(formula: str) -> tuple[str, ...]:
    """Keys of the columns that it names, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(formula)))


def with_references(formula: str, reference: Callable[[str], str]) -> str:
    """The formula with what stands for each column in its place."""
    return _REFERENCE.sub(lambda found: reference(found[1]), formula)


def may_divide_by_zero(formula: str) -> bool:
    """Whether it divides at all."""
    return "/" in formula


def value_of(formula: str, row: Mapping[str, Cell]) -> float | None:
    """The figure of a row; None where it is not known. Raises ValueError for what is no such formula."""
    known: dict[str, float] = {}
    for key in inputs_of(formula):
        cell = row.get(key)
        if not isinstance(cell, int | float):
            return None
        known[key] = float(cell)
    try:
        return _evaluated(_parsed(formula), known)
    except ZeroDivisionError:
        return None


@cache
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(with_references(formula, str), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{formula!r} is no formula of a column: {error.msg}") from None


def _evaluated(node: ast.expr, known: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=key) if key in known:
            return known[key]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluated(left, known), _evaluated(right, known))
        case _:
            raise ValueError(
                f"{ast.unparse(node)!r} is no part of a column's formula: numbers, {{keys}}, + - * / and ()"
            )
