"""The entry point: subcommands by name, errors as one message with a remedy, exit codes 0, 1 and 2."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from models.errors import InvalidInput, NoFeasiblePlan, ReplicastError
from planner import __version__

_COMMANDS = {
    "size": ("planner.cli.size", "The least replicas and GPUs that meet latency objectives under a load."),
    "predict": ("planner.cli.predict", "What given replicas do under a load, or the highest load they carry."),
    "simulate": ("planner.cli.simulate", "The same question answered by the step simulator."),
    "compare": ("planner.cli.compare", "Profiles and variants side by side on one workload, and which to choose."),
    "profile": (
        "planner.cli.profile",
        "Engine profiles: import, fit, check, list, show, sweep, learn from live metrics.",
    ),
    "pack": ("planner.cli.pack", "Several models on shared GPUs and MIG slices, for least cost."),
    "pipeline": ("planner.cli.pipeline", "Replicas of every stage of a pipeline (RAG, ensembles) for one objective."),
    "advise": ("planner.cli.advise", "Which engine and topology serve a set of needs, and why."),
    "report": ("planner.cli.report", "GPU-hours and money of a month, quarter or year, and what to buy."),
    "render": ("planner.cli.render", "Kubernetes manifests of a plan."),
    "controller": ("planner.cli.controller", "The control loop that keeps replicas right, in a cluster."),
    "explain": ("planner.cli.explain", "The last decision on a policy, as a person would tell it."),
    "completion": ("planner.cli.completion", "Shell completion for bash, zsh or fish."),
}

_COMPLETE = "_PLANNER_COMPLETE"

_EPILOG = """\b
Examples:
  planner profile list
  planner size --profile llama-3.1-8b-a100-vllm --qps 20 --input-tokens 512 \\
      --output-tokens 128 --slo 'ttft:p99<=500ms' --slo 'itl:p95<=60ms'

Exit codes: 0 done, 1 no feasible plan, 2 bad input."""


class _Lazy(click.Group):
    """Knows its subcommands by name and first line, and imports one only to run it or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: Any = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(
    cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="planner")
def cli() -> None:
    """Replicast: how many replicas and GPUs for this load at this latency."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Mistakes of the user end in one message, never in a traceback."""
    if _COMPLETE in os.environ:
        cli.main(prog_name="planner", complete_var=_COMPLETE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # ≤ and × in an encoding that lacks them are no reason to fail
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    # Not `cli.main`: it ends the process with code 1 where the reader of a pipe has gone.
    try:
        with cli.make_context("planner", list(arguments)) as context:
            result = cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except Exception as error:  # noqa: BLE001 -- the last resort: a fault of ours is still told in a message
        return _failed(error)
    return result if isinstance(result, int) else 0


def _failed(error: Exception) -> int:
    """The message for what went wrong, and the exit code."""
    if isinstance(error, click.ClickException):
        return _misused(error)
    if isinstance(error, OSError):
        return _output_failed(error)
    if isinstance(error, MemoryError):
        error = InvalidInput("there is not enough memory for this", remedy="ask for less, such as fewer --requests")
    return _told(error) if isinstance(error, ReplicastError) else _our_fault(error)


def _misused(error: click.ClickException) -> int:
    """A command line that cannot be understood; one without a command is answered with the help page."""
    from planner.cli.usage_error import as_invalid_input, says_no_command

    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and says_no_command(error):
        click.echo(context.get_help(), err=True)
        return 2
    return _told(as_invalid_input(error))


def _output_failed(error: OSError) -> int:
    """Stdout cannot be written: its reader has gone (`| head`), which is no mistake, or the disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0
    click.echo(f"error: the output cannot be written: {error.strerror or error}", err=True)
    return 2


def _our_fault(error: Exception) -> int:
    """A message for what must not happen; where it did is shown to whoever asks."""
    if os.environ.get("REPLICAST_TRACEBACK"):
        raise error
    click.echo(f"error: a fault of Replicast's own: {type(error).__name__}: {str(error)[:200]}", err=True)
    click.echo("  please report it with this command; REPLICAST_TRACEBACK=1 shows where it happened", err=True)
    return 3


def _told(error: ReplicastError) -> int:
    """One message with its remedy, and the exit code."""
    infeasible = isinstance(error, NoFeasiblePlan)
    click.echo(f"{'no plan' if infeasible else 'error'}: {error}", err=True)
    if error.remedy:
        click.echo(f"  {error.remedy}", err=True)
    return 1 if infeasible else 2
