"""A benchmark tool that can be told a load, and where its results go."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from planner.sweep.planned_run import PlannedRun
from planner.sweep.shell_words import Fragment, Word
from planner.sweep.target import SweptEngine, Target

TOOLS: Mapping[str, str] = {
    "vllm-bench": "planner.sweep.vllm_bench",
    "genai-perf": "planner.sweep.genai_perf",
    "aiperf": "planner.sweep.aiperf",
    "guidellm": "planner.sweep.guidellm",
}
"""Module of each tool by the name that `--tool` knows."""


class BenchmarkTool(Protocol):
    """What the module of a tool has."""

    PROGRAM: str
    """The command that must be installed."""
    ENGINES: frozenset[SweptEngine]
    """Engines whose protocol it speaks."""
    WARMS_UP: bool
    """Whether it sends requests of a warm-up, with prompts of their own, that do not count."""
    ENVIRONMENT: Mapping[str, str]
    """Variables that it needs to measure right."""
    RESULTS: str
    """Where `planner profile import` finds its results below the folder of results; a glob."""

    def command(self, run: PlannedRun, target: Target, seed: Fragment) -> tuple[Word, ...]:
        """The words of the command that makes one run."""
        ...

    def result(self, run: PlannedRun) -> str:
        """The file of one run's result below the folder of results; may be a glob."""
        ...


def benchmark_tool(name: str) -> BenchmarkTool:
    """A tool by the name that `--tool` knows."""
    return cast("BenchmarkTool", import_module(TOOLS[name]))
