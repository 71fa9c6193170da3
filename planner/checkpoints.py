"""Which weights a server loads: where a plan is of a quantised model, its name is often that of the unquantised one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from models.errors import InvalidInput
from planner.hardware import MEMORY_SHARE, find_gpu, find_model, named_quantization
from planner.kubernetes_names import dns_label
from planner.manifests.server import ServedModel, Server

_QUANTISED_BEFORE = frozenset(
    {"awq", "gptq", "gguf", "int4", "int8", "w4a16", "w8a8", "nvfp4", "mxfp4", "fp4", "q4_k_m"}
)
"""Engines read these from a checkpoint made so, and do not make them of one at 16 bits."""
_BORN_QUANTISED = ("gpt-oss",)
"""Published quantised under their plain name."""


def with_checkpoints(servers: Sequence[Server], given: Mapping[str, str]) -> tuple[Server, ...]:
    """Servers with the checkpoints that are given by the name of a model; a note where one is missing."""
    left = {dns_label(name): checkpoint for name, checkpoint in given.items()}
    known = {model.name for server in servers for model in server.models if model.engine == "vllm"}
    if unknown := sorted(left.keys() - known):
        raise InvalidInput(
            f"--checkpoint {unknown[0]}: the plan has no such model of vLLM",
            remedy=f"models of the plan: {', '.join(sorted(known)) or 'none'}",
        )
    return tuple(_with(server, left) for server in servers)


def _with(server: Server, given: Mapping[str, str]) -> Server:
    models = tuple(replace(model, checkpoint=given.get(model.name)) for model in server.models)
    missing = tuple(note for model in models if (note := _missing(model, server)) is not None)
    return replace(server, models=models, notes=(*missing, *server.notes))


def _missing(model: ServedModel, server: Server) -> str | None:
    """What is wrong with the checkpoint that would be loaded; None where nothing is known to be."""
    method = model.quantization.strip().lower()
    named = model.engine != "vllm" or named_quantization(model.model) != "none"
    if model.checkpoint is not None or named or any(name in model.model.lower() for name in _BORN_QUANTISED):
        return None
    remedy = f"name one that is with --checkpoint {model.name}=MODEL"
    if method in _QUANTISED_BEFORE:
        return f"WILL NOT START: the plan is of {method} weights, and {model.model} is not so quantised; {remedy}"
    if method == "fp8" and _too_large(model, server):
        return (
            f"WILL NOT START: vLLM loads {model.model} at 16 bits before it quantises it to fp8, and it does not fit "
            f"on {server.gpus} × {server.gpu_type} so; {remedy}"
        )
    return None


def _too_large(model: ServedModel, server: Server) -> bool:
    gpu, shape = find_gpu(server.gpu_type), find_model(model.model)
    weights = None if shape is None else shape.weight_bytes("bf16")
    if gpu is None or weights is None:
        return False
    return weights > server.gpus * gpu.memory_bytes * (server.memory_share or MEMORY_SHARE)
