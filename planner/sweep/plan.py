"""A whole sweep: its runs, the engine they measure, the tool that makes them, and what is known of the set-up."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.errors import InvalidInput
from planner.sweep.benchmark_tool import TOOLS, BenchmarkTool, benchmark_tool
from planner.sweep.planned_run import PlannedRun
from planner.sweep.target import NAME, Target


@dataclass(frozen=True, kw_only=True)
class MeasuredSetUp:
    """What the profile made of the results will say of the engine; None where it was not stated."""

    model: str
    gpu: str | None = None
    gpus_per_replica: int = 1
    quantization: str = "none"
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None

    def __post_init__(self) -> None:
        for what, value in (("--model", self.model), ("--gpu", self.gpu), ("--quantization", self.quantization)):
            if value is not None and (not NAME.fullmatch(value) or value.startswith("-")):
                raise InvalidInput(
                    f"{what} {value[:80]!r} is no name", remedy="letters, digits and . / _ - : @ + only, no spaces"
                )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a script or a Job writes out."""

    tool_name: str
    target: Target
    setup: MeasuredSetUp
    runs: tuple[PlannedRun, ...]
    reason: str
    """Why these loads, in a sentence."""

    def __post_init__(self) -> None:
        assert self.tool_name in TOOLS
        assert self.runs

    @property
    def tool(self) -> BenchmarkTool:
        """The tool itself."""
        return benchmark_tool(self.tool_name)

    @property
    def expected_s(self) -> float | None:
        """How long the runs should last together, start-up of the tool not counted; None where unknown."""
        lasting = [run.expected_s for run in self.runs]
        known = [seconds for seconds in lasting if seconds is not None]
        return sum(known) if len(known) == len(lasting) else None

    @property
    def slug(self) -> str:
        """The model as a name that Kubernetes accepts, at most 40 characters."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.setup.model.rpartition("/")[2].lower())[:40].strip("-")
        return plain or "model"

    def import_command(self) -> tuple[str, ...]:
        """`planner profile import` of the results, without the files."""
        setup = self.setup
        gpu = ("--gpu", setup.gpu) if setup.gpu else ()
        limits = [
            word
            for option, value in (
                ("--max-num-seqs", setup.max_num_seqs),
                ("--max-num-batched-tokens", setup.max_num_batched_tokens),
            )
            if value is not None
            for word in (option, str(value))
        ]
        return (
            "planner", "profile", "import", "--engine", self.target.engine, "--model", setup.model, *gpu,
            "--gpus-per-replica", str(setup.gpus_per_replica), "--quantization", setup.quantization,
            *limits,
        )  # fmt: skip
