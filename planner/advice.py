"""Which engine and topology serve a set of needs: rules with their reasons, and what commonly goes wrong.

The rules are ordered: what an engine cannot do at all goes before what it does better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from models.errors import InvalidInput


class Engine(StrEnum):
    """What runs the models."""

    VLLM = "vLLM"
    TRITON = "Triton"
    TRITON_TRTLLM = "Triton with TensorRT-LLM"
    HYBRID = "vLLM and Triton"


class SetUp(StrEnum):
    """How long until it serves."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What TensorRT-LLM is predicted to carry more than vLLM, from profiles of both that are alike."""

    share: float
    """Negative where it carries less."""
    where: str
    """On which GPU, at which precision, on how many GPUs a replica."""
    sound: bool = True
    """Whether the profiles' figures can all be true, and were measured near there: else it overrules nothing."""

    def __str__(self) -> str:
        doubt = (
            "" if self.sound else "; the profiles are doubtful there (see the numbers): measure both before building"
        )
        return f"{abs(self.share):.0%} {'more' if self.share >= 0.0 else 'less'} on {self.where}{doubt}"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What is to be served, and what is asked of it."""

    llms: int = 1
    """Language models that generate."""
    other_models: int = 0
    """Models of other kinds: vision, tabular, embeddings, rerankers."""
    openai_api: bool = False
    grpc: bool = False
    streaming: bool = False
    shared_gpu: bool = False
    """Several models on one GPU."""
    pipeline: bool = False
    """Requests go through several models, such as RAG."""
    edge: bool = False
    """Little memory, one small machine."""
    max_throughput: bool = False
    """The most tokens per GPU, and somebody who builds engines for it."""
    spans_nodes: bool = False
    """A language model too large for one node."""
    trtllm_gain: Gain | None = None
    """None where no profiles of both engines are alike."""
    precision: str = ""
    """At which the largest model was held against a node, and how that is known."""
    edge_precision: str = ""
    """The widest at which the model fits the edge machine, in words; empty where that is not known, or none does."""
    set_up: SetUp = SetUp.HOURS

    def __post_init__(self) -> None:
        for name, value in (("--llms", self.llms), ("--other-models", self.other_models)):
            if not 0 <= value <= 10_000:
                raise InvalidInput(f"{name} must lie between 0 and 10,000, got {value}")
        if self.llms + self.other_models == 0:
            raise InvalidInput("there is no model to serve", remedy="give --llms or --other-models")
        if self.shared_gpu and self.llms + self.other_models < 2:
            raise InvalidInput("--shared-gpu needs several models", remedy="give --llms or --other-models")
        if self.spans_nodes and (self.edge or self.llms == 0):
            raise InvalidInput(
                "a language model too large for one node is neither at the edge nor none at all",
                remedy="drop --edge, choose a smaller --model or fewer bits, or give --llms",
            )


_GROUPS = "a replica of the large model is a group of pods (LeaderWorkerSet)"
_WHY_GROUPS = (
    "the model is too large for one node{}: tensor parallelism inside each node, pipeline stages across nodes, and all "
    "pods of a replica start and fail together"
)
_OTHER_KINDS = (
    "{}: Triton has backends for ONNX, PyTorch, TensorRT and Python, vLLM serves language and embedding models alone"
)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """An engine and how it is laid out; why; and what to mind."""

    engine: Engine
    topology: str
    reasons: tuple[str, ...]
    pitfalls: tuple[str, ...]


def advise(needs: Needs) -> Advice:
    """The first rule that applies."""
    engine, topology, reasons = next(_rules(needs))
    if needs.spans_nodes:
        topology, reasons = (
            f"{topology}; {_GROUPS}",
            (*reasons, _WHY_GROUPS.format(f" at {needs.precision}" if needs.precision else "")),
        )
    return Advice(engine=engine, topology=topology, reasons=reasons, pitfalls=tuple(_pitfalls(needs, engine)))


def _rules(needs: Needs) -> Iterator[tuple[Engine, str, tuple[str, ...]]]:
    if needs.pipeline and needs.llms:
        yield from _of_pipeline(needs)
    if needs.llms == 0:
        yield (
            Engine.TRITON,
            "one Triton server, a repository of all models, dynamic batching for each",
            ("no model here generates tokens; vLLM would be worth a look for embedding models alone",),
        )
    if needs.other_models:
        yield (
            Engine.TRITON,
            "one Triton server, a repository of all models; language models through its vLLM or TensorRT-LLM backend",
            (
                _OTHER_KINDS.format(
                    "1 model is of another kind"
                    if needs.other_models == 1
                    else f"{needs.other_models} models are of other kinds"
                ),
                "one server, one protocol and one set of metrics for all of them",
            ),
        )
    if needs.shared_gpu:
        yield (
            Engine.TRITON,
            "several models in one Triton server on each GPU, `instance_group` by model",
            (
                "several models share a GPU: a vLLM process serves one, and takes nine tenths of the memory",
                "Triton places instances of many models on one GPU and queues each for itself",
            ),
        )
    if needs.edge:
        yield Engine.VLLM, *_at_the_edge(needs)
    if needs.max_throughput and needs.set_up is SetUp.DAYS and not _measured_in_vain(needs):
        yield (
            Engine.TRITON_TRTLLM,
            "one Triton server a replica with the tensorrtllm backend, an engine built for each GPU type",
            (
                f"compiled engines {_give(needs)} the most tokens per GPU where they are kept built{_figure(needs)}",
                "there is time to build and to tune them",
            ),
        )
    yield Engine.VLLM, _vllm_topology(needs), tuple(_why_vllm(needs))


def _measured_in_vain(needs: Needs) -> bool:
    return needs.trtllm_gain is not None and needs.trtllm_gain.sound and needs.trtllm_gain.share <= 0.0


def _give(needs: Needs) -> str:
    return "usually give" if needs.trtllm_gain is not None and needs.trtllm_gain.share <= 0.0 else "give"


def _figure(needs: Needs) -> str:
    """The like-for-like gain, where there is one."""
    return "" if needs.trtllm_gain is None else f": predicted {needs.trtllm_gain}"


def _at_the_edge(needs: Needs) -> tuple[str, tuple[str, ...]]:
    fits = needs.edge_precision
    model = "model" if fits == "16 bits" else "quantised model"
    figure = (f"the widest precision at which the model fits the machine's memory is {fits}",) if fits else ()
    if needs.llms == 1:
        return (
            f"one vLLM process with a {model} and a low --gpu-memory-utilization",
            ("one process and no model repository: the least to install and to keep in memory", *figure),
        )
    return (
        f"{needs.llms} vLLM processes, one a quantised model, that divide the GPU's memory by --gpu-memory-utilization",
        ("one process a model and no model repository: the least to install and to keep in memory",),
    )


def _of_pipeline(needs: Needs) -> Iterator[tuple[Engine, str, tuple[str, ...]]]:
    if needs.grpc or needs.shared_gpu or not (needs.openai_api or needs.streaming):
        yield (
            Engine.TRITON,
            "one Triton server: an ensemble or BLS of tokenise, embed, retrieve, rerank and generate",
            (
                "requests go through several models: an ensemble passes tensors between them without a network",
                "each stage batches for itself, on a shared GPU where it is small",
            ),
        )
    yield (
        Engine.HYBRID,
        "/v1/chat/completions to vLLM, /v1/embeddings and /v1/rerank to Triton, behind one gateway",
        (
            _why_hybrid(needs),
            "embedding and reranking are dynamic batching, which is Triton's own",
        ),
    )


def _why_hybrid(needs: Needs) -> str:
    if needs.openai_api and needs.streaming:
        return "the answer streams through the OpenAI API, which is vLLM's own"
    if needs.openai_api:
        return "clients speak the OpenAI API to the language model, which is vLLM's own"
    return "the answer streams, which vLLM does over plain HTTP"


def _vllm_topology(needs: Needs) -> str:
    if needs.llms > 1:
        return f"{needs.llms} vLLM Deployments, one a model, behind a gateway that routes by model name"
    return "one vLLM Deployment behind a load balancer"


def _why_vllm(needs: Needs) -> Iterator[str]:
    if needs.openai_api:
        yield "clients speak the OpenAI API: vLLM serves it itself, a change of base URL is all"
    if needs.set_up is SetUp.MINUTES:
        yield "it serves minutes after `vllm serve MODEL`: nothing is compiled beforehand"
    if needs.max_throughput and _measured_in_vain(needs):
        yield f"engines compiled by TensorRT-LLM carry no more of this model{_figure(needs)}; building never pays"
    elif needs.max_throughput:
        yield (
            f"the most throughput is Triton with TensorRT-LLM{_figure(needs)}; but choosing limits, building, tuning "
            f"and testing engines takes days (--set-up days), and there are {needs.set_up.value}"
        )
    if needs.grpc:
        yield "gRPC alone is no reason for Triton where language models alone are served: put a gateway before vLLM"
    subject = "one language model" if needs.llms == 1 else "one language model a server,"
    yield f"{subject} with continuous batching, paged KV memory and streaming is what it is made for"


def _pitfalls(needs: Needs, engine: Engine) -> Iterator[str]:
    if engine is not Engine.VLLM and needs.openai_api and engine is not Engine.HYBRID:
        yield "Triton's OpenAI-compatible frontend needs release 24.08 or newer"
    if engine is Engine.VLLM and needs.edge and needs.llms > 1:
        yield "models on one small GPU share its memory and slow each other down: numbers are of the largest alone"
    elif engine in (Engine.VLLM, Engine.HYBRID) and needs.llms > 1:
        yield "one vLLM server has one model: several need as many Deployments, and GPUs of their own"
    if engine is Engine.TRITON_TRTLLM:
        yield (
            "an engine is built for one GPU type, version and limits, and each build takes minutes to hours: build it "
            "once, keep it as an artefact; not in CI, not at start-up"
        )
    if engine in (Engine.TRITON, Engine.TRITON_TRTLLM) and needs.streaming:
        yield "streaming needs decoupled models, which are spoken to over gRPC or the OpenAI frontend, not plain HTTP"
    if needs.spans_nodes:
        yield (
            "across nodes every step waits for the network: it wants RDMA (InfiniBand, RoCE); fewer bits or GPUs with "
            "more memory on one node are usually quicker and cheaper"
        )
    if needs.shared_gpu:
        yield "models on one GPU slow each other down: measure them together, or give each a MIG slice"
