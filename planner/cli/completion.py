"""`planner completion`: the script that makes a shell complete commands, options and profile names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from models.errors import InvalidInput

_EPILOG = """\b
Examples:
  planner completion bash >> ~/.bashrc
  planner completion zsh >> ~/.zshrc
  planner completion fish > ~/.config/fish/completions/planner.fish"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell."""
    from planner.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidInput(f"there is no completion for {shell}", remedy="use bash, zsh or fish")
    click.echo(kind(cli, {}, "planner", "_PLANNER_COMPLETE").source())
    return 0
