"""The command line's own mistakes (click's) in the words of every other error: what, where and the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

import click

from models.errors import InvalidInput

_SHORT = 80
"""Characters of a user's word that are repeated in a message."""


def says_no_command(error: click.ClickException) -> bool:
    """Whether the mistake is a group of commands without one of them."""
    return type(error).__name__ == "NoArgsIsHelpError" or error.message == "Missing command."


def as_invalid_input(error: click.ClickException) -> InvalidInput:
    """The same mistake as an InvalidInput with its place and a remedy."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, remedy = _said(error, context)
    if context is None:
        return InvalidInput(message, remedy=remedy or _help(context))
    return InvalidInput(f"{context.command_path}: {message}", remedy=remedy or _help(context))


def _help(context: click.Context | None) -> str:
    return f"`{'planner' if context is None else context.command_path} --help` shows what there is"


def _said(error: click.ClickException, context: click.Context | None) -> tuple[str, str]:
    text = error.format_message()
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name[:_SHORT]}", _near(error.option_name, _options(context))
    if isinstance(error, click.BadOptionUsage):
        if "requires" in text:
            return f"{error.option_name} has no value", "write one after it"
        return f"{error.option_name} takes no value", "write it alone"
    if isinstance(error, click.MissingParameter):
        purpose = error.param.help if isinstance(error.param, click.Option) and error.param.help else ""
        return f"{_name(error.param)} is missing", f"add it: {purpose.rstrip('.')}" if purpose else ""
    if isinstance(error, click.BadParameter):
        return _bad_value(error)
    return _misplaced(text, context)


def _misplaced(text: str, context: click.Context | None) -> tuple[str, str]:
    """Words that stand where nothing, or something else, is expected; click tells them apart in the text only."""
    if command := re.match(r"No such command '(.*)'\.", text, re.DOTALL):
        group = context.command if context is not None else None
        there = group.list_commands(context) if context and isinstance(group, click.Group) else []
        remedy = _near(command[1], there) or f"{_among(there)}; {_help(context)}"
        return f"there is no command {command[1][:_SHORT]!r}", remedy
    if extra := re.match(r"Got unexpected extra arguments? \((.*)\)", text, re.DOTALL):
        return f"{extra[1][:_SHORT]!r} is not expected here", "options begin with --; put values with blanks in quotes"
    return text, ""


def _bad_value(error: click.BadParameter) -> tuple[str, str]:
    name = _name(error.param)
    kind = None if error.param is None else error.param.type
    if isinstance(kind, click.Choice):
        said = re.match(r"'(.*)' is not one of", error.message, re.DOTALL)
        word = said[1] if said else ""
        there = [str(choice) for choice in kind.choices]
        return f"{name}: there is no {word[:_SHORT]!r}", " ".join((_near(word, there), _among(there))).strip()
    if isinstance(kind, click.DateTime):
        return f"{name}: {error.message.rstrip('.')}", "write a day such as 2026-06-30"
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        number = "whole number" if isinstance(kind, click.types.IntParamType) else "number"
        if no_number := re.match(r"('.*') is not a valid", error.message, re.DOTALL):
            return (
                f"{name}: {no_number[1][:_SHORT]} is not a {number}",
                f"give a {number}{_bounds(kind) or _SUCH[number]}",
            )
        return f"{name} {error.message.partition(' ')[0][:_SHORT]} is out of range", f"give a {number}{_bounds(kind)}"
    return f"{name}: {error.message.rstrip('.')}", ""


_SUCH = {"number": ", such as 1000 or 0.5", "whole number": ", such as 1000"}


def _bounds(kind: object) -> str:
    if isinstance(kind, click.IntRange):
        return f" from {kind.min:,} to {kind.max:,}"
    return f" from {kind.min:,.6g} to {kind.max:,.6g}" if isinstance(kind, click.FloatRange) else ""


def _near(word: str, there: Sequence[str]) -> str:
    close = get_close_matches(word, there, n=1)
    return f"did you mean {close[0]}?" if close else ""


def _among(there: Sequence[str]) -> str:
    return f"use one of {', '.join(there)}"


def _name(parameter: click.Parameter | None) -> str:
    """`--replicas`, `NAME`."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return "an argument" if parameter is None else parameter.human_readable_name


def _options(context: click.Context | None) -> Sequence[str]:
    return [name for parameter in context.command.params for name in parameter.opts] if context else ()
