"""Options for a layout of GPUs that no profile was measured on, and for a model that has no profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from models.errors import InvalidInput
from models.token_lengths import TokenLengths
from planner.profile import EngineProfile
from planner.units import parse_bandwidth, parse_seconds

F = TypeVar("F", bound=Callable[..., Any])
_MOST_GPUS = 4096


def layout_options(command: F) -> F:
    """`--model`, `--tensor-parallel` and what belongs to them."""
    for option in reversed(
        [
            click.option(
                "--model", metavar="NAME",
                help="A model without a profile, estimated from data sheets (with --gpu).",
            ),
            click.option("--quantization", help="Of --model, such as fp8.  [default: by its name, or none]"),
            click.option(
                "--tensor-parallel", type=click.IntRange(1, _MOST_GPUS), metavar="N",
                help="GPUs that share every layer: carries the profile over, an estimate.",
            ),
            click.option(
                "--pipeline-parallel", type=click.IntRange(1, _MOST_GPUS), metavar="N",
                help="Stages that share the layers; on nodes of their own where a node holds no more.",
            ),
            click.option(
                "--nodes-per-replica", type=click.IntRange(1, _MOST_GPUS), metavar="N",
                help="Nodes that a replica spans.  [default: as few as hold it]",
            ),
            click.option(
                "--link-bandwidth", metavar="RATE",
                help="Between nodes, a GPU and direction, such as 50GB/s or 400Gb/s.  [default: 80% of the data sheet]",
            ),
            click.option("--link-latency", metavar="TIME", help="Of a message between nodes.  [default: 10us]"),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class AskedLayout:
    """What the options say."""

    model: str | None
    gpu: str | None
    quantization: str | None
    tensor: int | None
    pipeline: int | None
    nodes: int | None
    bandwidth_bytes_per_s: float | None
    latency_s: float | None

    @property
    def asked(self) -> bool:
        """Whether a layout is asked for at all."""
        return any(each is not None for each in (self.tensor, self.pipeline, self.nodes, *self._link))

    @property
    def _link(self) -> tuple[float | None, float | None]:
        return self.bandwidth_bytes_per_s, self.latency_s

    def refuse_beside(self, **given: object) -> None:
        """Refuse other sources of a profile beside --model."""
        if any(each is not None for each in given.values()):
            raise InvalidInput(
                "--model stands in for --profile and --model-repository: it cannot stand beside them or their options",
                remedy="drop --model for what was measured, or drop the others for an estimate from data sheets",
            )
        if self.gpu is None:
            raise InvalidInput("--model needs the GPU that it runs on", remedy="add for example --gpu H100-SXM5-80GB")

    def estimate(self) -> EngineProfile | None:
        """The profile of data sheets, where --model is given."""
        if self.model is None or self.gpu is None:
            return None
        from planner.estimated_profile import estimated_profile

        return estimated_profile(self.model, self.gpu, self.quantization)

    def applied_to(self, profile: EngineProfile, lengths: TokenLengths) -> EngineProfile:
        """The profile on the layout. Raises NoFeasiblePlan where the model does not fit on it."""
        if not self.asked and self.model is None:
            return profile
        from planner.parallelism import Parallelism, on_layout

        wanted = Parallelism(
            tensor=self.tensor,
            pipeline=self.pipeline,
            nodes_per_replica=self.nodes,
            link_bytes_per_s=self.bandwidth_bytes_per_s,
            link_latency_s=self.latency_s,
        )
        return on_layout(
            profile,
            wanted,
            measured=self.model is None,
            sequence_tokens=lengths.prompt.mean + lengths.output.mean,
        )


def take_layout(options: dict[str, Any], gpu: str | None) -> AskedLayout:
    """The layout that the options ask for, taken out of `options`."""
    model, quantization = options.pop("model"), options.pop("quantization")
    bandwidth, latency = options.pop("link_bandwidth"), options.pop("link_latency")
    if quantization is not None and model is None:
        raise InvalidInput(
            "--quantization belongs to --model; a profile has its own", remedy="drop it, or name another profile"
        )
    return AskedLayout(
        model=model,
        gpu=gpu,
        quantization=quantization,
        tensor=options.pop("tensor_parallel"),
        pipeline=options.pop("pipeline_parallel"),
        nodes=options.pop("nodes_per_replica"),
        bandwidth_bytes_per_s=None if bandwidth is None else parse_bandwidth(bandwidth, what="--link-bandwidth"),
        latency_s=None if latency is None else parse_seconds(latency, what="--link-latency"),
    )
